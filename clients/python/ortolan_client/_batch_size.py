"""How many rows go into one call, found by watching how many are answered in a second.

A call costs something whatever it carries, so larger batches bring more rows a second, until the model's own work
outweighs that. The size doubles while this pays, and then stays.

Nothing here reads a clock: every time is an argument, in seconds.
"""

__all__ = ["LARGEST_BATCH", "BatchSize"]

LARGEST_BATCH = 65_536

_FIRST = 8
_GAIN = 1.05
"""By how much the rate must rise to make a larger batch worth its latency."""

_MISSES = 2
"""Sizes in a row that brought nothing: one may be bad luck."""

_TRIAL_ANSWERS, _TRIAL_S = 8, 0.02
_LONGEST_S = 1.0
"""Batches that take longer do not grow: what a call costs is nothing beside them."""


class BatchSize:
    """`size` rows go into the next call. With `first` equal to `largest` only `limit` changes it."""

    def __init__(self, *, first: int = _FIRST, largest: int = LARGEST_BATCH) -> None:
        self.size = min(first, largest)
        self._largest = largest
        self._settled = self.size >= largest
        self._best_size, self._best_rate = self.size, 0.0
        self._misses = 0
        self._begun_s: float | None = None
        self._answers = 0

    @property
    def settled(self) -> bool:
        """Whether the size stays as it is."""
        return self._settled

    def limit(self, rows: int) -> None:
        """No batch may have more than so many rows: the model, a message or a deadline forbids it."""
        self._largest = max(1, min(self._largest, rows))
        self._best_size = min(self._best_size, self._largest)
        if self.size > self._largest:
            self._settled = True
            self._set(self._largest)

    def answered(self, rows: int, sent_s: float, now_s: float) -> bool:
        """A batch was answered. True when the next ones have another size."""
        if self._settled or rows != self.size:
            return False
        if self._begun_s is None:
            self._begun_s = now_s
            return False
        self._answers += 1
        took_s = now_s - self._begun_s
        if self._answers < _TRIAL_ANSWERS or took_s < _TRIAL_S:
            return False
        return self._end_trial(self._answers * rows / took_s, now_s - sent_s)

    def _end_trial(self, rate: float, latency_s: float) -> bool:
        tried = self.size
        if rate > self._best_rate * _GAIN:
            self._best_size, self._best_rate, self._misses = tried, rate, 0
        else:
            self._misses += 1
        self._settled = self._misses >= _MISSES or tried >= self._largest or latency_s > _LONGEST_S
        self._set(self._best_size if self._settled else min(tried * 2, self._largest))
        return self.size != tried

    def _set(self, size: int) -> None:
        self.size = size
        self._begun_s = None
        self._answers = 0
