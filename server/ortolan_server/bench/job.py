"""What a bench is asked to do, and how it tells how far it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ortolan_server.repository import ModelEntry

__all__ = ["DEFAULT_BATCH_SIZES", "BenchJob", "Progress"]

DEFAULT_BATCH_SIZES = (1, 8, 32)
"""Of models with a batch axis; those that the model cannot run are left out."""


@dataclass(frozen=True, slots=True)
class BenchJob:
    """One model, and the chains to measure it on."""

    entry: ModelEntry
    """Its newest version that would be served is measured. Rungs of a chain take their options from those of the same
    name in its `model.toml`; `trust_inputs` counts."""
    chains: tuple[tuple[str, ...], ...]
    """Each the short names of its rungs from the top down. `("cpu",)`, the reference, comes first if it is missing."""
    inputs: Mapping[str, Path] = field(default_factory=dict)
    """`.npy` files by the names of inputs; those without a file are random."""
    batch_sizes: tuple[int, ...] | None = None
    """None: `DEFAULT_BATCH_SIZES` where the model has a batch axis, else one."""
    rounds: int = 5
    seconds: float = 1.0
    """How long each chain runs at each batch size in each round."""
    seed: int = 0
    load_timeout_s: float = 600.0
    """For opening a chain, and for its first run of a shape: a provider may compile in either."""


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total` steps are finished. What begins now is `stage` of `chain`; both are empty at the end.

    `total` never changes. The steps of a chain that ends early count as finished then.
    """

    chain: str
    """As it is typed: `openvino,cpu`."""
    stage: str
    """As in `opening`, `first runs, batch size 8`, `round 2 of 5, batch size 8`."""
    done: int
    total: int
