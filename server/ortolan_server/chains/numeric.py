"""What a comparison of a rung's answers with the CPU's found."""

from collections.abc import Callable
from dataclasses import dataclass

from ortolan_backends.runtime.assignment import Assignment
from ortolan_backends.runtime.session import Session
from ortolan_server.tensors.difference import Difference

__all__ = ["Compare", "NumericCheck", "not_compared"]


@dataclass(frozen=True, slots=True)
class NumericCheck:
    """Either some samples were compared, or `skipped` says why not."""

    outputs: tuple[Difference, ...] = ()
    samples: int = 0
    recorded: bool = False
    """Were the inputs recorded ones? Else they were made up."""
    skipped: str = ""
    fault: str = ""
    """Why the rung is refused, with the figures; empty: it is not."""


Compare = Callable[[Session, Assignment], NumericCheck | None]
"""Asked of each session that may serve. None: all of it runs on the CPU, so there is nothing to compare."""


def not_compared(_session: Session, _assignment: Assignment) -> None:
    """For a climb whose sessions are only looked at."""
