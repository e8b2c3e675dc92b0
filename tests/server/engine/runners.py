"""Stand-ins for a session, and a place where replies arrive."""

import math
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from queue import SimpleQueue

import numpy as np

from ortolan_backends.errors import RunCancelled
from ortolan_backends.runtime.session import RunHandle
from ortolan_server.engine.call import Array, InferenceCall, InferenceResult
from ortolan_server.engine.runs import Runner
from ortolan_server.errors import OrtolanError

WAIT_S = 30.0
"""Longer than anything here takes: reached only when something is broken."""


class FakeRunner(Runner):
    """Answers number n with 10 n, fails on the numbers in `errors`, holds those in `held` until `release()`.

    As a session does it ends a held run when its handle is terminated; one in `stubborn` it does not.
    """

    def __init__(
        self,
        errors: Mapping[int, BaseException] | None = None,
        held: Iterable[int] = (),
        stubborn: Iterable[int] = (),
    ) -> None:
        self.started: SimpleQueue[int] = SimpleQueue()
        self.order: list[int] = []
        self._errors = errors or {}
        self._stubborn = frozenset(stubborn)
        self._gates = {number: threading.Event() for number in (*held, *self._stubborn)}

    def release(self, *numbers: int) -> None:
        for number in numbers:
            self._gates[number].set()

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str], handle: RunHandle) -> list[Array]:
        number = int(feeds["x"])
        self.order.append(number)
        self.started.put(number)
        gate = self._gates.get(number)
        while gate is not None and not gate.wait(0.001):
            if handle.options.terminate and number not in self._stubborn:
                raise RunCancelled("Exiting due to terminate flag being set to true.")
        if number in self._errors:
            raise self._errors[number]
        return [np.asarray(feeds["x"]) * 10 for _ in outputs]


class Replies:
    """Collects what comes for one call."""

    def __init__(self) -> None:
        self.all: list[InferenceResult | OrtolanError] = []
        self._came = threading.Event()

    def __call__(self, outcome: InferenceResult | OrtolanError) -> None:
        self.all.append(outcome)
        self._came.set()

    def only(self) -> InferenceResult | OrtolanError:
        """Waits for the first, and there must be no other."""
        assert self._came.wait(WAIT_S), "no reply came"
        assert len(self.all) == 1
        return self.all[0]

    def number(self) -> int:
        outcome = self.only()
        assert isinstance(outcome, InferenceResult), repr(outcome)
        (array,) = outcome.arrays
        return int(array)


def call(number: int, within_s: float = math.inf, rows: int = 1) -> InferenceCall:
    return InferenceCall({"x": np.asarray(number)}, ("y",), time.monotonic() + within_s, rows=rows)
