"""What whoever asks for a load says of it, beside the model and its chain."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ortolan_backends.runtime.load_handle import LoadHandle

__all__ = ["Load"]


@dataclass(frozen=True, slots=True)
class Load:
    """One opening of a model on its chain. Without anything said: all rungs, until one serves."""

    rungs: Sequence[int] = ()
    """Those that are tried, in order; empty: all."""
    handle: LoadHandle = field(default_factory=LoadHandle)
    """Stops it."""
    model: str = ""
    version: str = ""
    """Both as the memory that it takes is told of."""
