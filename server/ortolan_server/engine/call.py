"""One inference on its way through the engine."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ortolan_server.errors import OrtolanError

__all__ = ["Array", "InferenceCall", "InferenceResult", "Pump", "Reply", "Ticket"]

Array = NDArray[np.generic]


@dataclass(slots=True)  # not frozen: a frozen one takes three times as long to make, which counts here
class InferenceCall:
    """What is asked of a model version, already decoded and checked against its signature. Nobody changes it."""

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
    bucket: Hashable = None
    """The same for calls that may run as one batch: it tells shapes without the batch dimension, datatypes and outputs
    apart. None: joined with no other."""
    into: Sequence[Array] | None = None
    """Where the outputs are to be written, in their order: of their dtypes, and of the shapes that they will have as
    far as can be known. Only for a call without a bucket: a batch has its outputs in one piece. Not done on a session
    whose runs may be abandoned: the outputs are elsewhere then."""


@dataclass(slots=True)  # not frozen, see above
class InferenceResult:
    """What came of a call."""

    arrays: Sequence[Array]
    """In the order of `InferenceCall.outputs`. Views of the whole batch's arrays."""
    batch_rows: int
    """Rows of the run it was part of: its own, and those of the calls it was joined with."""


Reply = Callable[[InferenceResult | OrtolanError], None]
"""Called exactly once for each submitted call, from any thread, `submit()`'s own included and before it
returns; must return soon and must not raise."""


class Pump(Protocol):
    """A thread that offers to run small models itself, once it has nothing better to do."""

    def put(self, work: Callable[[], None]) -> None:
        """`work` is called once, soon, on the pump's thread. For that thread only."""
        ...


class Ticket(Protocol):
    """A submitted call, for the one who submitted it."""

    @property
    def runs_on_pump(self) -> bool:
        """The pump it was submitted with runs it before it does anything else: nothing is gained by cancelling it."""
        ...

    def cancel(self) -> None:
        """The caller left: a waiting call leaves the queue, a run is stopped once all callers of its batch have left.

        The reply still comes, with CallCancelled unless the run ended first. Any thread, any number of times.
        """
        ...
