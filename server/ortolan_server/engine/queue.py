"""What runs next, and whose time is over: decisions without threads or clocks."""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, NamedTuple, Protocol, TypeVar

__all__ = ["BatchLimits", "Queued", "Step", "Timed", "comes_too_late", "next_step", "overdue"]

# A batch that waits for more goes when a member has this left: so many runs, but at least so long.
_CLOSE_RUNS = 2.0
_CLOSE_S = 0.001
# Estimates are rough: a call is refused only when it would be this much too late.
_CLEARLY = 1.5


class Timed(Protocol):
    """Something with a deadline on the clock of `time.monotonic()`; `math.inf`: none."""

    @property
    def deadline_s(self) -> float: ...


class Queued(Timed, Protocol):
    """A call that waits."""

    @property
    def arrived_s(self) -> float: ...

    @property
    def rows(self) -> int: ...


T = TypeVar("T", bound=Timed)
Q = TypeVar("Q", bound=Queued)


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How calls of one bucket are joined."""

    max_rows: int
    """Of one batch. A single call with more runs alone."""
    max_delay_s: float = 0.0
    """How long a batch may wait for more calls, from the arrival of its first. 0: it takes what is there."""
    preferred_rows: frozenset[int] = frozenset()
    """Sizes at which a batch goes at once, and is cut when it would be larger."""

    def at_most(self, rows: int) -> "BatchLimits":
        """With smaller batches, where these are larger."""
        most = min(self.max_rows, rows)
        return replace(
            self, max_rows=most, preferred_rows=frozenset(size for size in self.preferred_rows if size <= most)
        )


class Step(NamedTuple, Generic[Q]):
    """What is to be done now: answer `expired`, run `run` as one batch. All of them leave the queue."""

    run: list[Q]
    """Calls of one bucket in order of arrival; empty: nothing may run yet."""
    expired: list[Q]
    """Calls seen on the way whose time is over."""
    look_again_s: float
    """When nothing may run: by then something may, unless more arrives; `math.inf`: nothing waits."""


def next_step(
    buckets: Collection[Sequence[Q]], limits: BatchLimits | None, now_s: float, run_s: float = 0.0
) -> Step[Q]:
    """The next batch. Each of `buckets` has calls that may be joined, in order of arrival.

    Of the buckets that may go now, that whose first call is the oldest goes: its calls join in order of arrival,
    until one does not fit. Without `limits` each call is a batch. `run_s` is how long a run takes, as far as known.
    """
    expired: list[Q] = []
    look_again_s = math.inf
    for calls in sorted(buckets, key=_arrival_of_first) if len(buckets) > 1 else buckets:
        batch, due_s = _form(calls, limits, now_s, run_s, expired)
        if batch and due_s <= now_s:
            return Step(batch, expired, math.inf)
        if batch:
            look_again_s = min(look_again_s, due_s)
    return Step([], expired, look_again_s)


def overdue(calls: Iterable[T], now_s: float) -> tuple[list[T], float]:
    """Calls whose time is over, and the nearest deadline of the others (`math.inf`: there is none)."""
    expired: list[T] = []
    nearest_s = math.inf
    for call in calls:
        if call.deadline_s <= now_s:
            expired.append(call)
        else:
            nearest_s = min(nearest_s, call.deadline_s)
    return expired, nearest_s


def comes_too_late(left_s: float, ahead_s: float, run_s: float) -> bool:
    """Whether a call with so much time left clearly ends too late behind so much work, if its run takes `run_s`."""
    return ahead_s + run_s > _CLEARLY * left_s


def _arrival_of_first(calls: Sequence[Queued]) -> float:
    return calls[0].arrived_s


def _form(
    calls: Iterable[Q], limits: BatchLimits | None, now_s: float, run_s: float, expired: list[Q]
) -> tuple[list[Q], float]:
    """The batch that a bucket has now, and when it may go; what is over is added to `expired`."""
    batch: list[Q] = []
    rows = preferred = 0
    full = False
    nearest_s = math.inf
    for call in calls:
        if call.deadline_s <= now_s:
            expired.append(call)
            continue
        if limits is None:
            return [call], now_s
        if batch and rows + call.rows > limits.max_rows:
            full = True
            break
        batch.append(call)
        rows += call.rows
        nearest_s = min(nearest_s, call.deadline_s)
        if rows in limits.preferred_rows:
            preferred = len(batch)
    if limits is None or not batch:
        return batch, math.inf
    if preferred:
        return batch[:preferred], now_s
    if full or rows >= limits.max_rows or not limits.max_delay_s:
        return batch, now_s
    return batch, min(batch[0].arrived_s + limits.max_delay_s, nearest_s - max(_CLOSE_RUNS * run_s, _CLOSE_S))
