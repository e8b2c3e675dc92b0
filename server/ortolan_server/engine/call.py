"""One inference on its way through the engine."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ortolan_server.errors import OrtolanError

__all__ = ["Array", "InferenceCall", "InferenceResult", "Reply", "Ticket", "Timings"]

Array = NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class InferenceCall:
    """What is asked of a model version, already decoded and checked against its signature."""

    feeds: Mapping[str, Array]
    """Input name → array in ONNX Runtime's terms (BF16 as uint16, BYTES as object arrays of `str`)."""
    outputs: tuple[str, ...]
    """Names of the outputs wanted, in the order of the answer."""
    deadline_s: float
    """On the clock of `time.monotonic()`; `math.inf`: none."""
    rows: int = 1
    """Size of the batch dimension, 1 for models without one."""
    decode_s: float = 0.0
    """How long it took to read the request, for the statistics."""


@dataclass(frozen=True, slots=True)
class Timings:
    """Where a call's time went, in seconds."""

    queue_s: float
    run_s: float


@dataclass(frozen=True, slots=True)
class InferenceResult:
    """Arrays in the order of `InferenceCall.outputs`."""

    arrays: tuple[Array, ...]
    timings: Timings = field(default=Timings(0.0, 0.0))


Reply = Callable[[InferenceResult | OrtolanError], None]
"""Called exactly once for each submitted call, from any thread, `submit()`'s own included and before it
returns; must return soon and must not raise."""


class Ticket(Protocol):
    """A submitted call, for the one who submitted it."""

    def cancel(self) -> None:
        """The caller left: a waiting call leaves the queue, a running one is stopped.

        The reply still comes, with CallCancelled unless the run ended first. Any thread, any number of times.
        """
        ...
