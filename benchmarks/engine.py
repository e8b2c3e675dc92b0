"""What the engine costs for each call, in µs of one thread: `python -m benchmarks.engine`.

The session is a stub that takes no time, so what is left is Python of ours: from `submit()` over the run on a pump's
thread to the reply, statistics included. The best of many rounds, since whatever else runs on the machine only adds.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from ortolan_backends.runtime.session import RunHandle
from ortolan_server.engine.call import Array, InferenceCall, InferenceResult
from ortolan_server.engine.engine import BatchLimits, Engine, Runner, Serving
from ortolan_server.engine.statistics import Statistics
from ortolan_server.errors import OrtolanError

ROUNDS = 20_000
WARM_UP_ROUNDS = 500
CALLS = (1, 4, 16, 64)


class Stub(Runner):
    """A session that gives back what it gets."""

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str], handle: RunHandle) -> list[Array]:  # noqa: ARG002
        return [feeds["x"]]


class Pump:
    """The thread that calls it."""

    def __init__(self) -> None:
        self._work: list[Callable[[], None]] = []

    def put(self, work: Callable[[], None]) -> None:
        self._work.append(work)

    def run(self) -> bool:
        """False: there was nothing to run, since the calls went to a worker."""
        work, self._work = self._work, []
        for each in work:
            each()
        return bool(work)


def main() -> None:
    print(f"{'calls at once':>13}  {'joined':>9}  {'one by one':>10}   µs a call")
    for calls in CALLS:
        joined = _cost_s(calls, BatchLimits(max_rows=64)) * 1e6
        alone = _cost_s(calls, None) * 1e6
        print(f"{calls:13}  {joined:9.1f}  {alone:10.1f}")


def _cost_s(calls: int, batching: BatchLimits | None) -> float:
    statistics = Statistics()
    engine = Engine(Serving(Stub(), statistics), queue_limit=256, concurrency=1, batching=batching)
    engine.start()
    pump = Pump()
    reply = partial(_answer, statistics)
    x = np.zeros((1, 12), np.float32)
    best_s = math.inf
    for number in range(WARM_UP_ROUNDS + ROUNDS // calls):
        started_s = time.perf_counter()
        for _ in range(calls):
            deadline_s = time.monotonic() + 60.0
            engine.submit(InferenceCall({"x": x}, ("y",), deadline_s, 1, 1e-6, bucket="x"), reply, pump)
        on_pump = pump.run()
        spent_s = time.perf_counter() - started_s
        if not on_pump:
            _await_workers(statistics, number, calls)
        elif number >= WARM_UP_ROUNDS:
            best_s = min(best_s, spent_s)
    engine.stop()
    return best_s / calls


def _answer(statistics: Statistics, outcome: InferenceResult | OrtolanError) -> None:
    """What a service does with a result, its response aside."""
    if isinstance(outcome, OrtolanError):
        raise outcome
    statistics.record_success(batch_rows=outcome.batch_rows, encode_s=1e-6, total_s=2e-6)


def _await_workers(statistics: Statistics, number: int, calls: int) -> None:
    """Waits for the workers, who have the first runs."""
    while statistics.snapshot().success.count < (number + 1) * calls:
        time.sleep(1e-4)


if __name__ == "__main__":
    main()
