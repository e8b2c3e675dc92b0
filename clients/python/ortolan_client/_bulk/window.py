"""How many calls may be under way, found by watching how long they take.

Below the server's knee more calls at once bring more answers in the same time; above it they only wait longer. So the
window grows by one call a round while answers come as fast as they did with few calls under way, and falls to a part of
itself when they take much longer, or are refused. Its first rounds double it.

Nothing here reads a clock: every time is an argument, in seconds.
"""

from statistics import median

__all__ = ["LARGEST_WINDOW", "Window"]

LARGEST_WINDOW = 128

_FIRST, _RESTART = 4, 2
"""Before anything is measured, and where measuring begins: one call would leave the server idle while its answer
travels."""

_ROUND_CALLS = 4
"""Answers in a round, at least: the median of fewer says little."""

_TOO_SLOW = 2.0
"""Of the least latency. With calls that wait nowhere it means: as many wait as are worked on."""

_AFTER_SLOWNESS, _AFTER_REFUSAL = 0.7, 0.5

_FLOOR_AGE_S, _FLOOR_AGE_CALLS = 30.0, 100.0
"""After this time and so many latencies the least latency is measured again: the server may have changed."""


class Window:
    """`size` calls may be under way now. With `smallest` equal to `largest` it stays as it is."""

    def __init__(self, *, smallest: int = 1, largest: int = LARGEST_WINDOW) -> None:
        self.size = min(max(smallest, _FIRST), largest)
        self._smallest = smallest
        self._largest = largest
        self._doubling = smallest < largest
        self._changed_s = float("-inf")
        self._floor_s = float("inf")
        self._floor_since_s: float | None = None
        self._round_s: list[float] = []
        self._was_full = False

    def answered(self, sent_s: float, now_s: float, under_way: int) -> None:
        """A call was answered; `under_way` calls were, itself included, when it was sent."""
        if sent_s < self._changed_s:
            return  # it met the window as it was before
        self._round_s.append(now_s - sent_s)
        self._was_full = self._was_full or under_way >= self.size
        if len(self._round_s) >= max(self.size, _ROUND_CALLS):
            self._end_round(now_s)

    def refused(self, sent_s: float, now_s: float) -> None:
        """The server refused a call because it has too many: the window falls, once for all calls that it let out."""
        if sent_s >= self._changed_s:
            self._fall(_AFTER_REFUSAL, now_s)

    def restart(self, now_s: float) -> None:
        """Forgets what was measured: the server, or the size of the calls, is another one now."""
        self._floor_s, self._floor_since_s = float("inf"), None
        self._doubling = self._smallest < self._largest
        self._set(_RESTART, now_s)

    def _end_round(self, now_s: float) -> None:
        latency_s, was_full = median(self._round_s), self._was_full
        self._floor_s = min(self._floor_s, latency_s)
        if self._floor_since_s is None:
            self._floor_since_s = now_s
        if now_s - self._floor_since_s > max(_FLOOR_AGE_S, _FLOOR_AGE_CALLS * latency_s):
            self.restart(now_s)
        elif latency_s > _TOO_SLOW * self._floor_s:
            self._fall(_AFTER_SLOWNESS, now_s)
        elif was_full and self.size < self._largest:
            self._set(self.size * 2 if self._doubling else self.size + 1, now_s)
        else:
            self._doubling = False  # whoever sends is the limit, or it is as large as it may be
            self._set(self.size, now_s)

    def _fall(self, part: float, now_s: float) -> None:
        self._doubling = False
        self._set(int(self.size * part), now_s)

    def _set(self, size: int, now_s: float) -> None:
        self.size = min(max(size, self._smallest), self._largest)
        self._changed_s = now_s
        self._round_s.clear()
        self._was_full = False
