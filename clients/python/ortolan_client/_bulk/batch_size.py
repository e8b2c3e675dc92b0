"""How many rows go into one call, found by watching how many are answered in a second.

A call costs something whatever it carries, so larger batches bring more rows a second, until the model's own work
outweighs that. The size grows while this pays, and then stays for a while.

Nothing here reads a clock: every time is an argument, in seconds.
"""

__all__ = ["LARGEST_BATCH", "BatchSize"]

LARGEST_BATCH = 16_384

_FIRST_BYTES, _LEAST_FIRST, _MOST_FIRST = 65_536, 8, 2048
"""The first size is as many rows as have so many bytes: small rows are cheap, mostly."""

_MOST_BYTES = 16 * 2**20
"""Of a batch, unless one row has more."""

_GAIN, _LARGE_GAIN = 1.05, 1.5
"""By how much the rate must rise to make a larger batch worth its latency; and to grow by more than twice."""

_TRIES, _SIZES = 2, 2
"""Trials of a size that brings nothing, and such sizes in a row: one may be bad luck."""

_TRIAL_ANSWERS, _TRIAL_S = 8, 0.01
_LONGEST_S = 1.0
"""Batches that take longer do not grow: what a call costs is nothing beside them."""

_AGAIN_S = 30.0
"""After so long it is found out again: what was found may have been bad luck, and the server changes."""


class BatchSize:
    """`size` rows go into the next call. With `smallest` equal to `largest` only `limit` changes it."""

    def __init__(self, *, smallest: int = 1, largest: int = LARGEST_BATCH) -> None:
        self.size = smallest
        self._largest = largest
        self._fixed = smallest == largest
        self._settled_s: float | None = None
        self._best_size, self._best_rate = self.size, 0.0
        self._misses = 0
        self._begun_s: float | None = None
        self._answers = 0

    def begin(self, row_bytes: int) -> None:
        """What a row has: as soon as there is one."""
        if not self._fixed:
            self.limit(_MOST_BYTES // max(1, row_bytes))
            self.size = min(max(_FIRST_BYTES // max(1, row_bytes), _LEAST_FIRST), _MOST_FIRST, self._largest)
            self._best_size = self.size

    def limit(self, rows: int) -> None:
        """No batch may have more than so many rows: the model, a message or a deadline forbids it."""
        self._largest = max(1, min(self._largest, rows))
        self._best_size = min(self._best_size, self._largest)
        if self.size > self._largest:
            self._set(self._largest)

    def searching(self, now_s: float) -> bool:
        """Whether the size is being found out."""
        if self._fixed or self._settled_s is None:
            return not self._fixed
        if now_s - self._settled_s < _AGAIN_S:
            return False
        self._settled_s, self._best_rate, self._misses = None, 0.0, 0
        return True

    def answered(self, rows: int, sent_s: float, now_s: float) -> bool:
        """A batch was answered during the search. True when that has ended."""
        if rows != self.size:
            return False
        if self._begun_s is None:
            self._begun_s = now_s
            return False
        self._answers += 1
        took_s = now_s - self._begun_s
        if self._answers < _TRIAL_ANSWERS or took_s < _TRIAL_S:
            return False
        self._set(self._next(self._answers * rows / took_s, now_s - sent_s, now_s))
        return self._settled_s is not None

    def _next(self, rate: float, latency_s: float, now_s: float) -> int:
        """The size after a trial of the present one."""
        gain = rate / self._best_rate if self._best_rate else _LARGE_GAIN
        if gain > _GAIN:
            self._best_size, self._best_rate, self._misses = self.size, rate, 0
        else:
            self._misses += 1
        if self._misses % _TRIES:
            return self.size
        if self._misses == _TRIES * _SIZES or self.size >= self._largest or latency_s > _LONGEST_S:
            self._settled_s = now_s
            return self._best_size
        return min(self.size * (4 if gain >= _LARGE_GAIN else 2), self._largest)

    def _set(self, size: int) -> None:
        self.size = size
        self._begun_s, self._answers = None, 0
