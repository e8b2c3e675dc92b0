"""Runs, and the answers to their calls: what an engine's threads do once it is decided what runs next."""

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import structlog

from ortolan_backends.errors import DeviceFailure, OutOfMemory, RunCancelled, RunFailed
from ortolan_backends.runtime.session import RunHandle
from ortolan_server.engine.call import Array, InferenceResult
from ortolan_server.engine.entry import Batch, Entry
from ortolan_server.engine.failures import answer_to
from ortolan_server.engine.joining import NotSplittable
from ortolan_server.engine.queue import Step
from ortolan_server.engine.runs import Ran, Runner, run_calls
from ortolan_server.engine.schedule import Schedule, expired_waiting
from ortolan_server.engine.serving import Serving
from ortolan_server.errors import InternalError, OrtolanError

__all__ = ["Dispatch"]

log = structlog.get_logger()


class _Gone(Runner):
    """Where a session was."""

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str], handle: RunHandle) -> list[Array]:
        del feeds, outputs, handle
        raise RunCancelled("its session is closed")


class Dispatch:
    """Makes runs on the session that serves. Who moves a call to ENDED under the lock answers it, so once.

    `lock` guards the schedule; nobody holds it during a run or a reply. `wake` is called under it when there may be
    work again. `on_device_failure` is asked on the thread of the run, once for a session, and must return soon: true
    when another session will take its place, for which all calls then wait.
    """

    def __init__(  # noqa: PLR0913 - all that it stands on
        self,
        schedule: Schedule,
        serving: Serving,
        lock: threading.Lock,
        *,
        wake: Callable[[], None],
        name: str,
        on_device_failure: Callable[[DeviceFailure, Runner], object] | None,
    ) -> None:
        self.serving = serving
        self.refusal: OrtolanError | None = None
        """What calls are told whose session failed, where no other will come."""
        self._schedule = schedule
        self._lock = lock
        self._wake = wake
        self._idle = threading.Condition(lock)
        self._name = name
        self._on_device_failure = on_device_failure
        self._unanswered = 0

    def took(self) -> None:
        """A call was taken, and is owed an answer. Under the lock."""
        self._unanswered += 1

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Under the lock. True when every call was answered in time."""
        return self._idle.wait_for(lambda: self._unanswered == 0, timeout_s)

    def let_go(self) -> None:
        """No run will be made any more on this session: it goes with the last that is being made. Under the lock.

        Its limits stay: those runs are still watched.
        """
        self.serving = replace(self.serving, runner=_Gone())

    def take(self, step: Step[Entry], *, worker: bool) -> Batch | None:
        """As of the schedule, on the session that serves now. Under the lock."""
        batch = self._schedule.take(step, worker=worker)
        if batch is not None:
            batch.serving = self.serving
        return batch

    def do(self, step: Step[Entry], batch: Batch | None) -> None:
        for entry in step.expired:
            self.answer(entry, expired_waiting())
        if batch is not None:
            self._run(batch, inline=not batch.holds_slot)

    def _run(self, batch: Batch, *, inline: bool) -> None:
        serving = batch.serving
        started_s = batch.started_s = time.monotonic()
        try:
            calls = [entry.call for entry in batch.entries]
            # One that is abandoned may come back when its callers have been answered, and their memory is another's.
            ran = run_calls(serving.runner, calls, batch.handle, in_place=serving.hang_after_s == math.inf)
        except Exception as error:  # noqa: BLE001 - a worker outlives every call
            if not batch.abandoned:  # its failure was told when it was given up
                self._run_failed(batch, error, inline=inline)
        else:
            self._run_ended(batch, ran, started_s, inline=inline)

    def _run_ended(self, batch: Batch, ran: Ran, started_s: float, *, inline: bool) -> None:
        parts, batch_s, run_s = ran
        with self._lock:
            if batch.abandoned:
                return
            # Before the replies: whoever gets one may submit the next call at once.
            ended = self._schedule.end(batch, run_s)
        if len(ended) < len(parts):
            parts = [part for entry, part in zip(batch.entries, parts, strict=True) if entry in ended]
        rows = batch.rows
        decode_s = queue_s = 0.0
        for entry in ended:
            decode_s += entry.call.decode_s
            queue_s += started_s - entry.arrived_s
        # Not yet a success: whoever gets the result has to make a response of it.
        batch.serving.statistics.record_run(
            calls=len(ended),
            rows=rows,
            decode_s=decode_s,
            queue_s=queue_s,
            batch_s=batch_s,
            run_s=run_s,
            inline=inline,
        )
        for entry, arrays in zip(ended, parts, strict=True):
            self.reply(entry, InferenceResult(arrays, rows))
        self._answered(len(ended))

    def _run_failed(self, batch: Batch, error: Exception, *, inline: bool) -> None:
        was_stopped = isinstance(error, RunCancelled)
        if was_stopped and batch.overran:
            error = RunFailed(batch.overran)
        if isinstance(error, NotSplittable):
            self._stop_batching(error)
        if isinstance(error, OutOfMemory):
            self._shrink_batches(batch)
        may_be_one = not (was_stopped or isinstance(error, DeviceFailure))
        if len(batch.entries) > 1 and may_be_one:
            self._run_one_by_one(batch, inline=inline)
            return
        if isinstance(error, DeviceFailure) and self.device_failed(error, batch.serving):
            self._put_back(batch)
            return
        with self._lock:
            if batch.abandoned:
                return
            ended = self._schedule.end(batch, None)
        self.answer_all(ended, error)

    def _run_one_by_one(self, batch: Batch, *, inline: bool) -> None:
        """After a failure that may be one caller's: the others must not suffer for it."""
        batch.started_s = batch.stopped_s = math.inf  # its own run is over
        for entry in batch.entries:
            with self._lock:
                if batch.abandoned or self._schedule.held or self.refusal is not None:
                    break
                alone = self._schedule.take_alone(entry, time.monotonic(), batch)
                if isinstance(alone, Batch):
                    alone.serving = self.serving
            if isinstance(alone, Batch):
                self._run(alone, inline=inline)
            elif alone is not None:
                self.answer(entry, alone)
        self._put_back(batch)

    def _put_back(self, batch: Batch) -> None:
        """Those of its calls that somebody waits for wait again."""
        with self._lock:
            if batch.abandoned:
                return
            gone = self.put_back(batch)
            self._wake()
        for entry, cause in gone:
            self.answer(entry, cause)

    def put_back(self, batch: Batch) -> list[tuple[Entry, OrtolanError]]:
        """Under the lock. Returns those that are to be answered now, and with what: nobody waits for them any more, or
        no session will come for them.
        """
        gone = self._schedule.put_back(batch)
        if self.refusal is not None:
            gone += [(entry, self.refusal) for entry in self._schedule.empty()]
        return gone

    def device_failed(self, error: DeviceFailure, serving: Serving) -> bool:
        """The session under a run failed. True when another one serves or will: the calls are to wait for it."""
        schedule = self._schedule
        with self._lock:
            if serving is not self.serving or schedule.held:
                return True
            schedule.held = True
            runner = self.serving.runner
        log.error("device_failed", engine=self._name, reason=str(error))
        comes = self._ask_for_another(error, runner)
        with self._lock:
            if not comes:
                schedule.held = False
                self._wake()
            elif self.serving is serving:  # the next may need the room that this one takes
                self.let_go()
        return comes

    def _ask_for_another(self, error: DeviceFailure, runner: Runner) -> bool:
        if self._on_device_failure is None:
            return False
        try:
            return bool(self._on_device_failure(error, runner))
        except Exception:
            log.exception("device_failure_hook_failed", engine=self._name)
            return False

    def _shrink_batches(self, batch: Batch) -> None:
        with self._lock:
            rows = self._schedule.shrink_batches(batch.rows)
        if rows:
            text = "no memory for more rows at once; larger batches are tried again later"
            log.warning("batches_shrunk", engine=self._name, max_size=rows, text=text)

    def _stop_batching(self, error: NotSplittable) -> None:
        with self._lock:
            batching, self._schedule.batching = self._schedule.batching, None
        if batching is not None:
            self.serving.statistics.batching = False
            log.warning("batch_not_splittable", engine=self._name, reason=str(error), text="calls run one by one now")

    def answer_all(self, entries: Iterable[Entry], error: Exception) -> None:
        """To a run's exception."""
        for entry in entries:
            answer = answer_to(error, entry.cause)
            if isinstance(answer, InternalError):
                log.error("run_failed", engine=self._name, exc_info=error)
            self.answer(entry, answer)

    def answer(self, entry: Entry, error: OrtolanError) -> None:
        self.record_failure(entry, error)
        self.reply(entry, error)
        self._answered(1)

    def record_failure(self, entry: Entry, error: OrtolanError) -> None:
        total_s = entry.call.decode_s + time.monotonic() - entry.arrived_s
        self.serving.statistics.record_failure(error, total_s=total_s)

    def reply(self, entry: Entry, outcome: InferenceResult | OrtolanError) -> None:
        reply = entry.reply
        # It refers to whoever asked, who may hold the entry as its ticket: all of that must not wait for the garbage
        # collector.
        del entry.reply
        try:
            reply(outcome)
        except Exception:
            log.exception("reply_failed", engine=self._name)

    def _answered(self, calls: int) -> None:
        with self._lock:
            self._unanswered -= calls
            if not self._unanswered:
                self._idle.notify_all()
