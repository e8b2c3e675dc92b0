"""The states of a model version, and the ways between them.

    NEW → LOADING → WARMING → READY ⇄ DEGRADED → DRAINING → UNLOADED
    from any but UNLOADED → FAILED

UNLOADED and FAILED are final: a reload makes a new version object, so that the reason of a failure stays
with the object that failed.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

__all__ = ["TRANSITIONS", "State", "TransitionError", "advance"]


class State(StrEnum):
    """Where a version stands in its life."""

    NEW = "NEW"
    LOADING = "LOADING"
    WARMING = "WARMING"
    """A session is open and its contract judged; the first runs are made."""
    READY = "READY"
    DEGRADED = "DEGRADED"
    """Serves, but its contract is not kept."""
    DRAINING = "DRAINING"
    """Takes nothing new and finishes what it has."""
    UNLOADED = "UNLOADED"
    FAILED = "FAILED"

    @property
    def serves(self) -> bool:
        """Whether new inferences are taken."""
        return self in (State.READY, State.DEGRADED)

    @property
    def answers(self) -> bool:
        """Whether inferences may be under way."""
        return self.serves or self is State.DRAINING


TRANSITIONS: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        State.NEW: frozenset({State.LOADING, State.FAILED}),
        State.LOADING: frozenset({State.WARMING, State.FAILED}),
        # Straight to DEGRADED: a version whose contract is not kept must not show as READY for a moment.
        State.WARMING: frozenset({State.READY, State.DEGRADED, State.FAILED}),
        State.READY: frozenset({State.DEGRADED, State.DRAINING, State.FAILED}),
        State.DEGRADED: frozenset({State.READY, State.DRAINING, State.FAILED}),
        State.DRAINING: frozenset({State.UNLOADED, State.FAILED}),
        State.UNLOADED: frozenset(),
        State.FAILED: frozenset(),
    },
)


class TransitionError(RuntimeError):
    """A version was to go where its state does not lead: a fault of the program, never of a caller."""


def advance(current: State, new: State) -> State:
    """Answers `new` if a version may go there from `current`; raises TransitionError if not."""
    if new in TRANSITIONS[current]:
        return new
    allowed = ", ".join(sorted(TRANSITIONS[current])) or "none, it is final"
    raise TransitionError(f"{current} cannot become {new}; allowed: {allowed}")
