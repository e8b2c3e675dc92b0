"""One run of the session for one call or several."""

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from ortolan_backends.runtime.session import RunHandle
from ortolan_server.engine.call import Array, InferenceCall
from ortolan_server.engine.joining import join, split

__all__ = ["Ran", "Runner", "run_calls"]


class Runner(Protocol):
    """An open session, as far as the engine needs it. `run` is called from several threads at once."""

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str], handle: RunHandle) -> list[Array]:
        """Arrays in the order of `outputs`. Raises a subclass of `ortolan_backends.errors.RunFailed`."""
        ...

    def run_into(
        self, feeds: Mapping[str, Array], outputs: Sequence[str], into: Sequence[Array], handle: RunHandle
    ) -> list[Array]:
        """As `run()`. An output is written to its array of `into` where that can be done, and this comes back then."""
        del into  # those that come by this definition can write nowhere
        return self.run(feeds, outputs, handle)


class Ran(NamedTuple):
    """What a run gave, and how long it took."""

    parts: Sequence[Sequence[Array]]
    """For each call its arrays, in the order of its outputs."""
    batch_s: float
    run_s: float


def run_calls(runner: Runner, calls: Sequence[InferenceCall], handle: RunHandle, *, in_place: bool) -> Ran:
    """Runs calls of one bucket together; `in_place`: outputs may be written where a call wants them.

    Raises what the runner raises, and NotSplittable.
    """
    first = calls[0]
    started_s = time.monotonic()
    if len(calls) == 1:
        if first.into is None or not in_place:
            arrays = runner.run(first.feeds, first.outputs, handle)
        else:
            arrays = runner.run_into(first.feeds, first.outputs, first.into, handle)
        return Ran([arrays], 0.0, time.monotonic() - started_s)
    feeds = join(calls)
    joined_s = time.monotonic()
    arrays = runner.run(feeds, first.outputs, handle)
    ran_s = time.monotonic()
    parts = split(arrays, first.outputs, [call.rows for call in calls])
    return Ran(parts, (joined_s - started_s) + (time.monotonic() - ran_s), ran_s - joined_s)
