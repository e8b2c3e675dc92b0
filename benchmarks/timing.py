"""Calls one after another, each timed."""

import time
from collections.abc import Callable

__all__ = ["FEWEST_ANSWERS", "time_until"]

FEWEST_ANSWERS = 2
"""Of a window: one alone is no rate."""


def time_until(until_s: float, call: Callable[[], object], *, fewest: int = 0) -> list[float]:
    """Seconds of each call until then, on the clock of `time.perf_counter()`, and longer where `fewest` take longer."""
    latencies_s: list[float] = []
    started_s = time.perf_counter()
    while started_s < until_s or len(latencies_s) < fewest:
        call()
        ended_s = time.perf_counter()
        latencies_s.append(ended_s - started_s)
        started_s = ended_s
    return latencies_s
