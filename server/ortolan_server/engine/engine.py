"""The engine: one bounded queue, batches from it, and a few worker threads in front of one open session."""

import math
import threading
import time
from collections.abc import Callable
from itertools import count

import structlog

from ortolan_backends.errors import DeviceFailure
from ortolan_server.engine.call import InferenceCall, Pump, Reply, Ticket
from ortolan_server.engine.dispatch import Dispatch
from ortolan_server.engine.entry import Entry, State
from ortolan_server.engine.joining import size_bytes
from ortolan_server.engine.queue import BatchLimits
from ortolan_server.engine.runs import Runner
from ortolan_server.engine.schedule import Occupancy, Schedule, Wake
from ortolan_server.engine.serving import Serving
from ortolan_server.engine.watchdog import Watchdog
from ortolan_server.errors import OrtolanError, ServerStopping

__all__ = ["BatchLimits", "Engine", "Runner", "Serving", "Ticket"]

_STOP_S = 5.0
_LOOK_S = 0.05

log = structlog.get_logger()


class Engine:
    """Runs calls in order of arrival, `concurrency` runs at once, while at most `queue_limit` calls wait for one.

    With `batching` calls of one bucket run together. Runs that are known to be short are made on the pump's thread,
    where calls came with one and `serving` permits it; all others by workers. `queue_bytes` bounds the inputs of the
    calls that wait; one call always may. The statistics of `serving` get each run and each failure; whoever takes a
    result records what became of it. `name` stands in thread names and log events. `on_device_failure` is told on the
    thread of the run, before the callers are, with the runner that failed, and must return soon. When it answers true
    the calls of that run wait with all others for `serve()`, within their deadlines; else they are answered, and the
    engine itself goes on running what comes.
    """

    def __init__(  # noqa: PLR0913 - all that it stands on
        self,
        serving: Serving,
        *,
        queue_limit: int,
        concurrency: int,
        queue_bytes: float = math.inf,
        batching: BatchLimits | None = None,
        name: str = "engine",
        on_device_failure: Callable[[DeviceFailure, Runner], object] | None = None,
    ) -> None:
        self._concurrency = concurrency
        self._name = name
        self._threads: list[threading.Thread] = []
        self._numbers = count()
        serving.statistics.batching = batching is not None
        # One lock guards all below; the conditions are its waiting rooms. Nobody holds it during a run or a reply.
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._time = threading.Condition(self._lock)
        self._schedule = Schedule(
            queue_limit=queue_limit, queue_bytes=queue_bytes, concurrency=concurrency, batching=batching
        )
        self._schedule.inline = serving.may_run_inline
        self._dispatch = Dispatch(
            self._schedule,
            serving,
            self._lock,
            wake=self._work.notify_all,
            name=name,
            on_device_failure=on_device_failure,
        )
        self._watchdog = Watchdog(self._schedule, self._dispatch, self._lock, self._start_worker, name)
        self._watched_until_s = math.inf
        self._closed = False
        self._stopped = False

    def start(self) -> None:
        """Starts the threads. What was submitted before is run now."""
        for _ in range(self._concurrency):
            self._start_worker()
        self._start_thread(self._watch_loop)

    def submit(self, call: InferenceCall, reply: Reply, pump: Pump | None = None) -> Ticket:
        """Takes a call that has been checked against the signature; `reply` is called exactly once.

        Never blocks. Raises ServerStopping after `drain()` or `stop()`, and `reply` is not called then. Replies with
        Overloaded when the queue is full, DeadlineExpired as soon as the deadline passes (the run is then stopped if
        nobody else waits for it, which takes effect between two nodes) or at once when the queue is clearly too long
        for it, CallCancelled after a `Ticket.cancel()` before that, and with the answer to the runner's exception
        (`failures.py`).
        """
        now_s = time.monotonic()
        entry = Entry(call, reply, now_s, self._cancel)
        entry.size_bytes = size_bytes(call)
        schedule = self._schedule
        with self._lock:
            if self._closed:
                raise ServerStopping("this model version takes no new inferences: it is being stopped")
            refusal = self._dispatch.refusal or schedule.refusal(entry, now_s)
            if refusal is None:
                self._add(entry, pump)
            else:
                entry.state = State.ENDED
        if refusal is not None:
            self._dispatch.record_failure(entry, refusal)
            self._dispatch.reply(entry, refusal)
        return entry

    @property
    def occupancy(self) -> Occupancy:
        """What waits and runs at this moment."""
        with self._lock:
            return self._schedule.occupancy

    @property
    def lost_threads(self) -> int:
        """Workers whose runs were abandoned, and have not come back."""
        return self._watchdog.lost

    def runs_on(self, runner: object) -> bool:
        """Is it the one on which calls run, or would if its device had not failed?"""
        with self._lock:
            return self._dispatch.serving.runner is runner

    def hold(self) -> None:
        """No run begins until `serve()`."""
        with self._lock:
            self._schedule.held = True

    def serve(self, serving: Serving) -> None:
        """From the next run on calls are run on this one; those that waited for it may go."""
        with self._lock:
            serving.statistics.batching = self._schedule.batching is not None
            self._dispatch.serving = serving
            self._dispatch.refusal = None
            self._schedule.begin_anew(inline=serving.may_run_inline)
            self._work.notify_all()

    def refuse_waiting(self, error: OrtolanError) -> None:
        """Answers so all that waits, what a failed run still puts back, and what comes: no session will serve it.

        That which did is let go.
        """
        with self._lock:
            self._dispatch.refusal = error
            self._dispatch.let_go()
            self._schedule.held = False
            waiting = self._schedule.empty()
        for entry in waiting:
            self._dispatch.answer(entry, error)

    def drain(self, timeout_s: float) -> bool:
        """Takes nothing new and waits for what was taken; True when all of it has been answered in time."""
        with self._lock:
            self._closed = True
            return self._dispatch.wait_until_idle(timeout_s)

    def stop(self) -> None:
        """Answers what waits with ServerStopping, stops what runs, and ends the threads.

        Gives up on threads whose run does not end within a few seconds, on those that are lost at once. May be called
        twice, and from a reply.
        """
        stopped = ServerStopping("the server stopped before this inference ended")
        with self._lock:
            self._closed = self._stopped = True
            waiting = self._schedule.stop(stopped)
            self._work.notify_all()
            self._time.notify_all()
        for entry in waiting:
            self._dispatch.answer(entry, stopped)
        self._join()
        with self._lock:
            self._dispatch.let_go()

    def _join(self) -> None:
        give_up_s = time.monotonic() + _STOP_S
        others = [thread for thread in self._threads if thread is not threading.current_thread()]
        while len(alive := [thread for thread in others if thread.is_alive()]) > self.lost_threads:
            left_s = give_up_s - time.monotonic()
            if left_s <= 0:
                break
            alive[-1].join(min(left_s, _LOOK_S))  # those that are lost are older
        if alive:
            log.warning("engine_stop_timed_out", engine=self._name, threads=[thread.name for thread in alive])

    def _start_worker(self) -> None:
        self._start_thread(self._work_loop)

    def _start_thread(self, target: Callable[[], None]) -> None:
        # A run that cannot be stopped must not keep the process from ending.
        thread = threading.Thread(target=target, name=f"{self._name}-{next(self._numbers)}", daemon=True)
        thread.start()
        self._threads = [*(each for each in self._threads if each.is_alive()), thread]

    def _add(self, entry: Entry, pump: Pump | None) -> None:
        self._dispatch.took()
        offered = pump if self._schedule.inline and not self._schedule.held else None
        wake = self._schedule.add(entry, offered)
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
        """One step, whose arrays are let go on return; False when the engine has stopped, or this thread was lost."""
        schedule = self._schedule
        with self._lock:
            step = schedule.step_of_worker(time.monotonic())
            while not (step.run or step.expired or self._stopped):
                wait_s = step.look_again_s - time.monotonic()
                self._work.wait(None if wait_s == math.inf else max(0.0, wait_s))
                step = schedule.step_of_worker(time.monotonic())
            if self._stopped:
                return False
            batch = self._dispatch.take(step, worker=True)
            if schedule.has_waiting:
                self._work.notify()  # for what is left, or to wait until it is due
        self._dispatch.do(step, batch)
        return batch is None or not self._watchdog.took_over(batch)

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
            batch = self._dispatch.take(step, worker=False)
        self._dispatch.do(step, batch)
        return True

    # Cancellation, deadlines, and runs that take too long.

    def _cancel(self, entry: Entry) -> None:
        with self._lock:
            cause = self._schedule.cancel(entry, time.monotonic())
        if cause is not None:
            self._dispatch.answer(entry, cause)

    def _watch_loop(self) -> None:
        while self._watch_once():
            pass

    def _watch_once(self) -> bool:
        """Ends what is overdue, else waits for the nearest deadline; False when the engine has stopped."""
        self._watchdog.look(time.monotonic())
        with self._lock:
            if self._stopped:
                return False
            now_s = time.monotonic()
            gone, self._watched_until_s = self._schedule.end_overdue(now_s)
            if not gone:
                # Deadlines of calls that have ended meanwhile wake it for nothing: cheaper than keeping track.
                wait_s = min(self._watched_until_s - now_s, self._watchdog.look_again_in_s)
                self._time.wait(min(wait_s, threading.TIMEOUT_MAX))
        for entry, cause in gone:
            self._dispatch.answer(entry, cause)
        return True
