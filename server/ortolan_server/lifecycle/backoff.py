"""When a device that failed is tried again: later each time, and not sooner because it came back for a moment."""

from dataclasses import dataclass, replace

__all__ = ["Backoff"]

# A device that served so many times as long as it was waited for has recovered for good.
_STABLE = 4.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """Times are on the clock of `time.monotonic()`. Each step gives a new one."""

    first_s: float
    most_s: float
    delay_s: float = 0.0
    """Of the try that is due next, or of the last one; 0: it never failed."""
    due_s: float = 0.0
    recovered_s: float | None = None
    """When it came back; None: it is away."""

    def failed(self, now_s: float) -> "Backoff":
        """The device failed while serving: the first try comes soon, unless it had only just come back."""
        stable = self.recovered_s is None or now_s - self.recovered_s > _STABLE * self.delay_s
        delay_s = self.first_s if stable or not self.delay_s else self._doubled
        return replace(self, delay_s=delay_s, due_s=now_s + delay_s, recovered_s=None)

    def not_yet(self, now_s: float) -> "Backoff":
        """It was tried, and is not fit."""
        return replace(self, delay_s=self._doubled, due_s=now_s + self._doubled)

    def recovered(self, now_s: float) -> "Backoff":
        """It serves again."""
        return replace(self, recovered_s=now_s)

    @property
    def _doubled(self) -> float:
        return min(self.most_s, 2 * self.delay_s) if self.delay_s else self.first_s
