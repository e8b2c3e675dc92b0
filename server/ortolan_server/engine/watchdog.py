"""Runs that take too long: told to stop, reported, and abandoned with their thread when they do not end."""

import math
import threading
from collections.abc import Callable

import structlog

from ortolan_backends.errors import RunHung
from ortolan_server.engine.dispatch import Dispatch
from ortolan_server.engine.entry import Batch, Entry
from ortolan_server.engine.failures import answer_to
from ortolan_server.engine.schedule import Schedule
from ortolan_server.errors import OrtolanError

__all__ = ["Watchdog"]

# How long a run may go on after it was told to stop: it does so between two nodes.
_GRACE_S = 1.0
# How often it looks, as a part of the time that a run may take.
_LOOKS = 8

log = structlog.get_logger()


class Watchdog:
    """`look()` is called on the engine's watching thread; `start_worker` takes a lost thread's place."""

    def __init__(
        self,
        schedule: Schedule,
        dispatch: Dispatch,
        lock: threading.Lock,
        start_worker: Callable[[], None],
        name: str,
    ) -> None:
        self._schedule = schedule
        self._dispatch = dispatch
        self._lock = lock
        self._start_worker = start_worker
        self._name = name
        self.lost = 0
        """Threads that have not come back from a run that was abandoned."""

    @property
    def look_again_in_s(self) -> float:
        """`math.inf`: never. Runs that begin meanwhile wake nobody: a look now and then costs less."""
        serving = self._dispatch.serving
        limit_s = min(serving.hang_after_s, serving.report_after_s)
        return math.inf if limit_s == math.inf else min(limit_s / _LOOKS, _GRACE_S)

    def look(self, now_s: float) -> None:
        """Does to each run what its time calls for."""
        hung: list[Batch] = []
        with self._lock:
            for batch in list(self._schedule.running):
                serving = batch.serving
                ran_s = now_s - batch.started_s
                # Since it was told, and not since its time was up: on a busy machine this look may be late.
                if now_s - batch.stopped_s >= _GRACE_S:
                    hung.append(batch)
                elif not batch.told and ran_s >= min(serving.hang_after_s, serving.report_after_s):
                    self._tell(batch, now_s, stop=ran_s >= serving.hang_after_s)
        if hung:
            self._abandon(hung, now_s)

    def took_over(self, batch: Batch) -> bool:
        """On the thread of a run that has ended: was it given up, and has another taken its place?"""
        with self._lock:
            if batch.abandoned:
                self.lost -= 1
            return batch.abandoned

    def _tell(self, batch: Batch, now_s: float, *, stop: bool) -> None:
        batch.told = True
        ran_s = now_s - batch.started_s
        log.warning("run_takes_long", engine=self._name, run_s=round(ran_s, 1), rows=batch.rows, stopped=stop)
        if stop:
            batch.stopped_s = now_s
            batch.overran = f"the run was stopped after {ran_s:.1f} s (model.toml, key `hang_after_s` in [failover])"
            batch.handle.terminate()

    def _abandon(self, hung: list[Batch], now_s: float) -> None:
        """Their calls wait for another session where one will come, else they are answered."""
        ran_s = max(now_s - batch.started_s for batch in hung)
        error = RunHung(f"a run has not ended in {ran_s:.1f} s, although it was told to stop")
        servings = dict.fromkeys(batch.serving for batch in hung)  # one may have taken another's place meanwhile
        again = {serving: self._dispatch.device_failed(error, serving) for serving in servings}
        gone: list[tuple[Entry, OrtolanError]] = []
        with self._lock:
            for batch in hung:
                if batch in self._schedule.running:  # else it ended after all
                    gone += self._give_up(batch, error, again=again[batch.serving])
        for entry, cause in gone:
            self._dispatch.answer(entry, cause)

    def _give_up(self, batch: Batch, error: RunHung, *, again: bool) -> list[tuple[Entry, OrtolanError]]:
        schedule, top = self._schedule, batch.parent or batch
        gone: list[tuple[Entry, OrtolanError]] = []
        for each in dict.fromkeys((batch, top)):
            each.abandoned = True
            if again:
                gone += self._dispatch.put_back(each)
            else:
                gone += [(entry, entry.cause or answer_to(error, None)) for entry in schedule.end(each, None)]
        if top.holds_slot:
            self.lost += 1
            self._start_worker()
        return gone
