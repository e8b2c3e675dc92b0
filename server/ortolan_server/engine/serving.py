"""What runs the calls of an engine: a session, and how it may be used."""

import math
from dataclasses import dataclass

from ortolan_server.engine.runs import Runner
from ortolan_server.engine.statistics import Statistics

__all__ = ["Serving"]


@dataclass(frozen=True, slots=True, eq=False)
class Serving:
    """An engine has one at a time; another takes its place when its device fails, and when a better one is ready."""

    runner: Runner
    statistics: Statistics
    """Of the runs and failures under it."""
    may_run_inline: bool = True
    """On a pump's thread, when it is known to be short? Not where no measurement foretells its time, nor where a run
    may hang: the thread serves all callers."""
    hang_after_s: float = math.inf
    """A run that takes longer is told to stop, and abandoned when it does not; `math.inf`: never."""
    report_after_s: float = math.inf
    """A run that takes longer is told of in the log."""
