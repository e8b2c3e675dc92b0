"""The engine: one bounded queue, batches from it, and a few worker threads in front of one open session."""

import math
import threading
import time
from collections.abc import Callable

import structlog

from ortolan_backends.errors import DeviceFailure, RunCancelled
from ortolan_server.engine.call import InferenceCall, InferenceResult, Pump, Reply, Ticket
from ortolan_server.engine.entry import Batch, Entry, State
from ortolan_server.engine.failures import answer_to
from ortolan_server.engine.joining import NotSplittable, size_bytes
from ortolan_server.engine.queue import BatchLimits, Step
from ortolan_server.engine.runs import Ran, Runner, run_calls
from ortolan_server.engine.schedule import Occupancy, Schedule, Wake, expired_waiting
from ortolan_server.engine.statistics import Statistics
from ortolan_server.errors import CallCancelled, InternalError, OrtolanError, ServerStopping

__all__ = ["BatchLimits", "Engine", "Runner", "Ticket"]

_STOP_S = 5.0

log = structlog.get_logger()


class Engine:
    """Runs calls in order of arrival, `concurrency` runs at once, while at most `queue_limit` calls wait for one.

    With `batching` calls of one bucket run together. Runs that are known to be short are made on the pump's thread,
    where calls came with one and `may_run_inline` (a model whose run time no measurement foretells must not); all
    others by workers. `queue_bytes` bounds the inputs of the calls that wait; one call
    always may. `statistics` gets each run and each failure; whoever takes a result records what became of it. `name`
    stands in thread names and log events. `on_device_failure` is told on the thread of the run, before the callers
    are, and must return soon; the engine itself goes on running what comes.
    """

    def __init__(  # noqa: PLR0913 - all that it stands on
        self,
        runner: Runner,
        *,
        queue_limit: int,
        concurrency: int,
        statistics: Statistics,
        queue_bytes: float = math.inf,
        batching: BatchLimits | None = None,
        may_run_inline: bool = True,
        name: str = "engine",
        on_device_failure: Callable[[DeviceFailure], None] | None = None,
    ) -> None:
        self._runner = runner
        self._concurrency = concurrency
        self._may_run_inline = may_run_inline
        self._statistics = statistics
        self._name = name
        self._on_device_failure = on_device_failure
        self._threads: list[threading.Thread] = []
        statistics.batching = batching is not None
        # One lock guards all below; the conditions are its waiting rooms. Nobody holds it during a run or a reply.
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._time = threading.Condition(self._lock)
        self._idle = threading.Condition(self._lock)
        self._schedule = Schedule(
            queue_limit=queue_limit, queue_bytes=queue_bytes, concurrency=concurrency, batching=batching
        )
        self._unanswered = 0
        self._watched_until_s = math.inf
        self._closed = False
        self._stopped = False

    def start(self) -> None:
        """Starts the threads. What was submitted before is run now."""
        targets = [self._work_loop] * self._concurrency + [self._watch_loop]
        for target in targets:
            # A run that cannot be stopped must not keep the process from ending.
            thread = threading.Thread(target=target, name=f"{self._name}-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def submit(self, call: InferenceCall, reply: Reply, pump: Pump | None = None) -> Ticket:
        """Takes a call that has been checked against the signature; `reply` is called exactly once.

        Never blocks and never raises. Replies with Overloaded when the queue is full, ServerStopping after
        `drain()` or `stop()`, DeadlineExpired as soon as the deadline passes (the run is then stopped if nobody else
        waits for it, which takes effect between two nodes) or at once when the queue is clearly too long for it,
        CallCancelled after `Ticket.cancel()`, and with the answer to the runner's exception (see `failures.py`).
        """
        now_s = time.monotonic()
        entry = Entry(call, reply, now_s, self._cancel)
        entry.size_bytes = size_bytes(call)
        schedule = self._schedule
        with self._lock:
            refusal = _closed() if self._closed else schedule.refusal(entry, now_s)
            if refusal is None:
                self._add(entry, pump if self._may_run_inline else None)
            else:
                entry.state = State.ENDED
        if refusal is not None:
            self._record_failure(entry, refusal)
            self._reply(entry, refusal)
        return entry

    @property
    def occupancy(self) -> Occupancy:
        """What waits and runs at this moment."""
        with self._lock:
            return self._schedule.occupancy

    def drain(self, timeout_s: float) -> bool:
        """Takes nothing new and waits for what was taken; True when all of it has been answered in time."""
        with self._lock:
            self._closed = True
            return self._idle.wait_for(lambda: self._unanswered == 0, timeout_s)

    def stop(self) -> None:
        """Answers what waits with ServerStopping, stops what runs, and ends the threads.

        Gives up on threads whose run does not end within a few seconds. May be called twice, and from a reply.
        """
        with self._lock:
            self._closed = self._stopped = True
            waiting = self._schedule.stop(_stopped())
            self._work.notify_all()
            self._time.notify_all()
        for entry in waiting:
            self._answer(entry, _stopped())
        self._join()

    def _join(self) -> None:
        give_up_s = time.monotonic() + _STOP_S
        others = [thread for thread in self._threads if thread is not threading.current_thread()]
        for thread in others:
            thread.join(max(0.0, give_up_s - time.monotonic()))
        stuck = [thread.name for thread in others if thread.is_alive()]
        if stuck:
            log.warning("engine_stop_timed_out", engine=self._name, threads=stuck)

    def _add(self, entry: Entry, pump: Pump | None) -> None:
        self._unanswered += 1
        wake = self._schedule.add(entry, pump)
        if wake is Wake.WORKER:
            self._work.notify()
        elif wake is Wake.PUMP and pump is not None:
            pump.put(self._work_here)
        if entry.deadline_s < self._watched_until_s:
            self._watched_until_s = entry.deadline_s
            self._time.notify()

    # Workers.

    def _work_loop(self) -> None:
        while self._work_once():
            pass

    def _work_once(self) -> bool:
        """One step, whose arrays are let go on return; False when the engine has stopped."""
        schedule = self._schedule
        with self._lock:
            step = schedule.step_of_worker(time.monotonic())
            while not (step.run or step.expired or self._stopped):
                wait_s = step.look_again_s - time.monotonic()
                self._work.wait(None if wait_s == math.inf else max(0.0, wait_s))
                step = schedule.step_of_worker(time.monotonic())
            if self._stopped:
                return False
            batch = schedule.take(step, worker=True)
            if schedule.has_waiting:
                self._work.notify()  # for what is left, or to wait until it is due
        self._do(step, batch)
        return True

    # The pump.

    def _work_here(self) -> None:
        """On a pump's thread: runs what waits for it now, or leaves it to the workers when these make all the runs."""
        began_s = time.monotonic()
        begins = True
        while self._work_here_once(began_s, begins=begins):
            begins = False

    def _work_here_once(self, began_s: float, *, begins: bool) -> bool:
        """One step, whose arrays are let go on return; False when the turn is over."""
        schedule = self._schedule
        with self._lock:
            if begins and not schedule.begin_pump():
                self._work.notify()
                return False
            step = schedule.step_of_pump(began_s, began_s if begins else time.monotonic())
            if not (step.run or step.expired):
                if schedule.has_waiting:
                    self._work.notify()
                return False
            batch = schedule.take(step, worker=False)
        self._do(step, batch)
        return True

    # Runs.

    def _do(self, step: Step[Entry], batch: Batch | None) -> None:
        for entry in step.expired:
            self._answer(entry, expired_waiting())
        if batch is not None:
            self._run(batch, inline=not batch.holds_slot)

    def _run(self, batch: Batch, *, inline: bool) -> None:
        started_s = time.monotonic()
        try:
            ran = run_calls(self._runner, [entry.call for entry in batch.entries], batch.handle)
        except Exception as error:  # noqa: BLE001 - a worker outlives every call
            self._run_failed(batch, error, inline=inline)
        else:
            self._run_ended(batch, ran, started_s, inline=inline)

    def _run_ended(self, batch: Batch, ran: Ran, started_s: float, *, inline: bool) -> None:
        parts, batch_s, run_s = ran
        with self._lock:
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
        self._statistics.record_run(
            calls=len(ended),
            rows=rows,
            decode_s=decode_s,
            queue_s=queue_s,
            batch_s=batch_s,
            run_s=run_s,
            inline=inline,
        )
        for entry, arrays in zip(ended, parts, strict=True):
            self._reply(entry, InferenceResult(arrays, rows))
        self._answered(len(ended))

    def _run_failed(self, batch: Batch, error: Exception, *, inline: bool) -> None:
        if isinstance(error, NotSplittable):
            self._stop_batching(error)
        if len(batch.entries) > 1 and not isinstance(error, DeviceFailure | RunCancelled):
            self._run_one_by_one(batch, inline=inline)
            return
        if isinstance(error, DeviceFailure):
            log.error("device_failed", engine=self._name, reason=str(error))
            self._tell_device_failure(error)
        with self._lock:
            ended = self._schedule.end(batch, None)
        for entry in ended:
            answer = answer_to(error, entry.cause)
            if isinstance(answer, InternalError):
                log.error("run_failed", engine=self._name, exc_info=error)
            self._answer(entry, answer)

    def _run_one_by_one(self, batch: Batch, *, inline: bool) -> None:
        """After a failure that may be one caller's: the others must not suffer for it."""
        for entry in batch.entries:
            with self._lock:
                alone = self._schedule.take_alone(entry, time.monotonic())
            if isinstance(alone, Batch):
                self._run(alone, inline=inline)
            elif alone is not None:
                self._answer(entry, alone)
        with self._lock:
            self._schedule.end(batch, None)

    def _stop_batching(self, error: NotSplittable) -> None:
        with self._lock:
            batching, self._schedule.batching = self._schedule.batching, None
        if batching is not None:
            self._statistics.batching = False
            log.warning("batch_not_splittable", engine=self._name, reason=str(error), text="calls run one by one now")

    def _tell_device_failure(self, error: DeviceFailure) -> None:
        if self._on_device_failure is None:
            return
        try:
            self._on_device_failure(error)
        except Exception:
            log.exception("device_failure_hook_failed", engine=self._name)

    # Answers. Who moves a call to ENDED under the lock answers it, so that it is answered once.

    def _answer(self, entry: Entry, error: OrtolanError) -> None:
        self._record_failure(entry, error)
        self._reply(entry, error)
        self._answered(1)

    def _record_failure(self, entry: Entry, error: OrtolanError) -> None:
        self._statistics.record_failure(error, total_s=entry.call.decode_s + time.monotonic() - entry.arrived_s)

    def _reply(self, entry: Entry, outcome: InferenceResult | OrtolanError) -> None:
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

    # Cancellation and deadlines.

    def _cancel(self, entry: Entry) -> None:
        cause = CallCancelled("the caller cancelled this inference")
        with self._lock:
            if not self._schedule.leave(entry, cause):
                return
        self._answer(entry, cause)

    def _watch_loop(self) -> None:
        while self._watch_once():
            pass

    def _watch_once(self) -> bool:
        """Ends what is overdue, else waits for the nearest deadline; False when the engine has stopped."""
        with self._lock:
            if self._stopped:
                return False
            now_s = time.monotonic()
            gone, self._watched_until_s = self._schedule.end_overdue(now_s)
            if not gone:
                # Deadlines of calls that have ended meanwhile wake it for nothing: cheaper than keeping track.
                self._time.wait(min(self._watched_until_s - now_s, threading.TIMEOUT_MAX))
        for entry, cause in gone:
            self._answer(entry, cause)
        return True


def _closed() -> ServerStopping:
    return ServerStopping("this model version takes no new inferences: it is being stopped")


def _stopped() -> ServerStopping:
    return ServerStopping("the server stopped before this inference ended")
