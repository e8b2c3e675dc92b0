"""What happened to a version of a model: kept over its reloads, for those who ask when and why."""

import threading
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

__all__ = ["Event", "EventKind", "History", "Step"]

_KEPT = 64


class EventKind(StrEnum):
    LOADED = "LOADED"
    DEVICE_FAILED = "DEVICE_FAILED"
    """A device failed, or a run hung: the session is used no more."""
    FAILED_OVER = "FAILED_OVER"
    """A lower rung serves now."""
    PROBE_FAILED = "PROBE_FAILED"
    """A rung above was tried, and is not fit yet."""
    RECOVERED = "RECOVERED"
    """A higher rung serves again."""
    RELOAD_REFUSED = "RELOAD_REFUSED"
    """A newer load was not taken."""


@dataclass(frozen=True, slots=True)
class Step:
    """From one rung of a chain to another."""

    rung: int = 0
    """0: none."""
    provider: str = ""
    """Its short name."""
    to_rung: int = 0
    to_provider: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened."""

    at: datetime
    kind: EventKind
    reason: str
    step: Step


class History:
    """The last events, and counts of all. Any thread."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=_KEPT)
        self._counts: Counter[tuple[EventKind, str, str]] = Counter()
        self._taken: Counter[tuple[EventKind, str, str]] = Counter()
        """What of the counts is those of the one that it goes on with."""
        self._lock = threading.Lock()

    def copy(self) -> "History":
        """One that goes on by itself."""
        copy = History()
        copy.take_up(self)
        return copy

    def take_up(self, before: "History") -> None:
        """Adds what was noted since in the one that this is a copy of."""
        counts, events = Counter(before.counts), before.events
        with self._lock:
            self._counts += counts - self._taken
            self._taken = counts
            both = sorted({*events, *self._events}, key=lambda event: event.at)
            self._events.clear()
            for event in both:
                self._append(event)

    def note(self, kind: EventKind, reason: str = "", step: Step | None = None) -> None:
        """A probe that fails as the one before it is counted, and told once with the time of the last."""
        event = Event(datetime.now(UTC), kind, reason, step or Step())
        with self._lock:
            self._counts[kind, event.step.provider, event.step.to_provider] += 1
            self._append(event)

    @property
    def events(self) -> tuple[Event, ...]:
        """The newest last."""
        with self._lock:
            return tuple(self._events)

    @property
    def last(self) -> Event | None:
        with self._lock:
            return self._events[-1] if self._events else None

    @property
    def counts(self) -> Mapping[tuple[EventKind, str, str], int]:
        """By kind, and by the short names of the providers it left and went to."""
        with self._lock:
            return dict(self._counts)

    @property
    def totals(self) -> Counter[EventKind]:
        """By kind alone."""
        totals: Counter[EventKind] = Counter()
        for (kind, _, _), count in self.counts.items():
            totals[kind] += count
        return totals

    def _append(self, event: Event) -> None:
        last = self._events[-1] if self._events else None
        if last and event.kind is EventKind.PROBE_FAILED and (last.kind, last.reason) == (event.kind, event.reason):
            self._events.pop()
        self._events.append(event)
