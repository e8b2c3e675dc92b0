"""The engine: one bounded queue and a few worker threads in front of one open session."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import structlog

from ortolan_backends.errors import DeviceFailure
from ortolan_backends.runtime.session import RunHandle
from ortolan_server.engine.call import Array, InferenceCall, InferenceResult, Reply, Ticket, Timings
from ortolan_server.engine.entry import Entry, State
from ortolan_server.engine.failures import answer_to
from ortolan_server.engine.queue import Step, next_step, overdue
from ortolan_server.engine.statistics import Statistics
from ortolan_server.errors import (
    CallCancelled,
    DeadlineExpired,
    InternalError,
    OrtolanError,
    Overloaded,
    ServerStopping,
)

__all__ = ["Engine", "Runner", "Ticket"]

_STOP_S = 5.0

log = structlog.get_logger()


class Runner(Protocol):
    """An open session, as far as the engine needs it. `run` is called from several threads at once."""

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str], handle: RunHandle) -> list[Array]:
        """Arrays in the order of `outputs`. Raises a subclass of `ortolan_backends.errors.RunFailed`."""
        ...


class Engine:
    """Runs calls in order of arrival, `concurrency` at once, while at most `queue_limit` wait for a worker.

    `statistics` gets each run and each failure; whoever takes a result records what became of it. `name` stands in
    thread names and log events. `on_device_failure` is told on a worker's thread, before the caller is, and must
    return soon; the engine itself goes on running what comes.
    """

    def __init__(  # noqa: PLR0913 - all that it stands on
        self,
        runner: Runner,
        *,
        queue_limit: int,
        concurrency: int,
        statistics: Statistics,
        name: str = "engine",
        on_device_failure: Callable[[DeviceFailure], None] | None = None,
    ) -> None:
        self._runner = runner
        self._queue_limit = queue_limit
        self._concurrency = concurrency
        self._statistics = statistics
        self._name = name
        self._on_device_failure = on_device_failure
        self._threads: list[threading.Thread] = []
        # One lock guards all below; the conditions are its waiting rooms.
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._time = threading.Condition(self._lock)
        self._idle = threading.Condition(self._lock)
        self._waiting: deque[Entry] = deque()
        self._running: set[Entry] = set()
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

    def submit(self, call: InferenceCall, reply: Reply) -> Ticket:
        """Takes a call that has been checked against the signature; `reply` is called exactly once.

        Never blocks and never raises. Replies with Overloaded when the queue is full, ServerStopping after
        `drain()` or `stop()`, DeadlineExpired as soon as the deadline passes (a running call is then stopped,
        which takes effect between two nodes), CallCancelled after `Ticket.cancel()`, and with the answer to the
        runner's exception (see `failures.py`).
        """
        now_s = time.monotonic()
        entry = Entry(call, reply, now_s, self._cancel)
        with self._lock:
            refusal = self._refusal(call.deadline_s, now_s)
            if refusal is not None:
                entry.state = State.ENDED
            else:
                self._unanswered += 1
                self._waiting.append(entry)
                self._work.notify()
                if call.deadline_s < self._watched_until_s:
                    self._time.notify()
        if refusal is not None:
            self._record(entry, refusal)
            self._reply(entry, refusal)
        return entry

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
            waiting = list(self._waiting)
            self._waiting.clear()
            for entry in waiting:
                entry.state = State.ENDED
            for entry in self._running:
                entry.terminate(_stopped())
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

    def _refusal(self, deadline_s: float, now_s: float) -> OrtolanError | None:
        if self._closed:
            return ServerStopping("this model version takes no new inferences: it is being stopped")
        if deadline_s <= now_s:
            return DeadlineExpired("the deadline had passed when the request came")
        if len(self._waiting) + len(self._running) >= self._queue_limit + self._concurrency:
            return Overloaded(
                f"the queue of this model is full: {self._queue_limit} inferences wait already "
                "(model.toml, key `queue` in [limits])"
            )
        return None

    # Workers.

    def _work_loop(self) -> None:
        while self._work_once():
            pass

    def _work_once(self) -> bool:
        """One step, whose arrays are let go on return; False when the engine has stopped."""
        with self._lock:
            while not self._waiting and not self._stopped:
                self._work.wait()
            if self._stopped:
                return False
            step = self._take(time.monotonic())
        for entry in step.expired:
            self._answer(entry, _expired_waiting())
        if step.run is not None:
            self._run(step.run)
        return True

    def _take(self, now_s: float) -> Step[Entry]:
        step = next_step(self._waiting, now_s)
        for _ in step.expired:
            self._waiting.popleft().state = State.ENDED
        if step.run is not None:
            self._waiting.popleft()
            step.run.start()
            self._running.add(step.run)
        return step

    def _run(self, entry: Entry) -> None:
        call = entry.call
        started_s = time.monotonic()
        outcome: InferenceResult | OrtolanError
        try:
            arrays = self._runner.run(call.feeds, call.outputs, entry.handle)
            run_s = time.monotonic() - started_s
            outcome = InferenceResult(tuple(arrays), Timings(started_s - entry.submitted_s, run_s))
        except Exception as error:  # noqa: BLE001 - a worker outlives every call
            outcome = self._failure(error, entry.cause)
        with self._lock:
            # Before the reply: whoever gets it may submit the next call at once.
            self._running.remove(entry)
            entry.state = State.ENDED
        self._answer(entry, outcome)

    def _failure(self, error: Exception, cause: OrtolanError | None) -> OrtolanError:
        answer = answer_to(error, cause)
        if isinstance(answer, InternalError):
            log.error("run_failed", engine=self._name, exc_info=error)
        if isinstance(error, DeviceFailure):
            log.error("device_failed", engine=self._name, reason=str(error))
            self._tell_device_failure(error)
        return answer

    def _tell_device_failure(self, error: DeviceFailure) -> None:
        if self._on_device_failure is None:
            return
        try:
            self._on_device_failure(error)
        except Exception:
            log.exception("device_failure_hook_failed", engine=self._name)

    # Answers. Who moves a call to ENDED under the lock answers it, so that it is answered once.

    def _answer(self, entry: Entry, outcome: InferenceResult | OrtolanError) -> None:
        self._record(entry, outcome)
        self._reply(entry, outcome)
        with self._lock:
            self._unanswered -= 1
            if not self._unanswered:
                self._idle.notify_all()

    def _record(self, entry: Entry, outcome: InferenceResult | OrtolanError) -> None:
        call = entry.call
        if isinstance(outcome, OrtolanError):
            self._statistics.record_failure(total_s=call.decode_s + time.monotonic() - entry.submitted_s)
            return
        timings = outcome.timings
        # Not yet a success: whoever gets the result has to make a response of it.
        self._statistics.record_run(
            rows=call.rows, decode_s=call.decode_s, queue_s=timings.queue_s, run_s=timings.run_s
        )

    def _reply(self, entry: Entry, outcome: InferenceResult | OrtolanError) -> None:
        try:
            entry.reply(outcome)
        except Exception:
            log.exception("reply_failed", engine=self._name)

    # Cancellation and deadlines.

    def _cancel(self, entry: Entry) -> None:
        cause = CallCancelled("the caller cancelled this inference")
        with self._lock:
            entry.terminate(cause)
            if entry.state is not State.WAITING:
                return
            self._waiting.remove(entry)
            entry.state = State.ENDED
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
            expired = self._take_overdue(now_s)
            if not expired:
                # Deadlines of calls that have ended meanwhile wake it for nothing: cheaper than keeping track.
                self._time.wait(min(self._watched_until_s - now_s, threading.TIMEOUT_MAX))
        for entry in expired:
            self._answer(entry, _expired_waiting())
        return True

    def _take_overdue(self, now_s: float) -> list[Entry]:
        """Stops running calls that are overdue, and takes the waiting ones out of the queue."""
        expired, nearest_waiting_s = overdue(self._waiting, now_s)
        late, nearest_running_s = overdue(self._running, now_s)
        self._watched_until_s = min(nearest_waiting_s, nearest_running_s)
        for entry in expired:
            self._waiting.remove(entry)
            entry.state = State.ENDED
        for entry in late:
            entry.terminate(DeadlineExpired("the deadline passed while the inference ran"))
        return expired


def _expired_waiting() -> DeadlineExpired:
    return DeadlineExpired("the deadline passed while the inference waited for its turn")


def _stopped() -> ServerStopping:
    return ServerStopping("the server stopped before this inference ended")
