"""A stand-in for a session that takes batches, and calls whose rows can be told apart."""

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from queue import SimpleQueue
from threading import Event, Lock

import numpy as np

from ortolan_backends.errors import RunCancelled, RunFailed
from ortolan_backends.runtime.session import RunHandle
from ortolan_server.engine.call import Array, InferenceCall, InferenceResult
from ortolan_server.engine.runs import Runner
from tests.server.engine.runners import WAIT_S

__all__ = ["BatchRunner", "HandPump", "answer_of", "batch_call"]


class BatchRunner(Runner):
    """Rows are numbers: of row n comes row 10 n. A run fails with a row of `bad` in it; the first waits for `go`."""

    def __init__(self, bad: Collection[int] = (), error: type[Exception] = RunFailed, *, held: bool = False) -> None:
        self.batches: list[list[int]] = []
        """The rows of each run."""
        self.started: SimpleQueue[list[int]] = SimpleQueue()
        self.go = Event()
        self.most_at_once = 0
        self._at_once = 0
        self._lock = Lock()
        self._bad = frozenset(bad)
        self._error = error
        if not held:
            self.go.set()

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str], handle: RunHandle) -> list[Array]:
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            return self._run(feeds["x"], outputs, handle)
        finally:
            with self._lock:
                self._at_once -= 1

    def _run(self, x: Array, outputs: Sequence[str], handle: RunHandle) -> list[Array]:
        rows = [int(row[0]) for row in x]
        self.batches.append(rows)
        self.started.put(rows)
        until_s = time.monotonic() + WAIT_S
        while not self.go.wait(0.001) and time.monotonic() < until_s:
            if handle.options.terminate:
                raise RunCancelled("Exiting due to terminate flag being set to true.")
        if not self._bad.isdisjoint(rows):
            raise self._error(f"bad rows in {rows}")
        return [np.multiply(x, 10) for _ in outputs]


class HandPump:
    """A pump that the test turns."""

    def __init__(self) -> None:
        self.work: list[Callable[[], None]] = []

    def put(self, work: Callable[[], None]) -> None:
        self.work.append(work)

    def run(self) -> None:
        work, self.work = self.work, []
        for each in work:
            each()


def batch_call(number: int, rows: int = 1, *, width: int = 1, within_s: float = math.inf) -> InferenceCall:
    """Rows `number`, `number` + 1, …; only calls of the same `width` can be joined."""
    x = np.repeat(np.arange(number, number + rows, dtype=np.int64)[:, None], width, axis=1)
    return InferenceCall({"x": x}, ("y",), time.monotonic() + within_s, rows, bucket=("x", width))


def answer_of(call: InferenceCall, result: InferenceResult) -> bool:
    """Whether a result is that of the call, and of no other."""
    (y,) = result.arrays
    return bool(np.array_equal(y, call.feeds["x"] * 10))
