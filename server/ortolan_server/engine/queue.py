"""What a free worker takes next, and whose time is over: decisions without threads or clocks."""

import math
from collections.abc import Iterable
from typing import Generic, NamedTuple, Protocol, TypeVar

__all__ = ["Step", "Timed", "next_step", "overdue"]


class Timed(Protocol):
    """Something with a deadline on the clock of `time.monotonic()`; `math.inf`: none."""

    @property
    def deadline_s(self) -> float: ...


T = TypeVar("T", bound=Timed)


class Step(NamedTuple, Generic[T]):
    """What a free worker does: answer `expired`, then run `run`. All of them leave the queue."""

    run: T | None
    expired: tuple[T, ...]


def next_step(waiting: Iterable[T], now_s: float) -> Step[T]:
    """The next step for a queue in order of arrival: the first call whose time is not over.

    The calls in front of it are the expired ones; those behind it stay as they are. Batching belongs here: it
    takes several calls, and limits (rows, delay) as a third argument.
    """
    expired: list[T] = []
    for call in waiting:
        if call.deadline_s > now_s:
            return Step(call, tuple(expired))
        expired.append(call)
    return Step(None, tuple(expired))


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
