"""Made-up tensors that most models take."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ortolan_server.tensors.datatypes import DATATYPES

__all__ = ["random_array", "zeros_array"]

_MOST_ELEMENTS = 1 << 28
_WORDS = ("ortolan", "bunting", "sings", "at", "dawn")


def random_array(datatype: str, shape: Sequence[int], generator: np.random.Generator) -> NDArray[Any]:
    """Floats in [0, 1), integers from 0 to 9, words for BYTES (of numpy's fixed-width kind), bits for BF16.

    Raises ValueError for a datatype that the protocol does not have, and for a shape that is far too large.
    """
    dtype = _dtype(datatype, shape)
    if datatype == "BYTES":
        return generator.choice(np.array(_WORDS), shape)
    if datatype == "BF16":
        return (generator.random(shape, np.float32).view(np.uint32) >> 16).astype(dtype)
    if dtype.kind == "b":
        return generator.integers(0, 2, shape).astype(dtype)
    if dtype.kind == "f":
        return generator.random(shape).astype(dtype)
    return generator.integers(0, 10, shape).astype(dtype)


def zeros_array(datatype: str, shape: Sequence[int]) -> NDArray[Any]:
    """Zeros, and empty texts for BYTES. Raises ValueError as `random_array` does."""
    dtype = _dtype(datatype, shape)
    return np.full(shape, "") if datatype == "BYTES" else np.zeros(shape, dtype)


def _dtype(datatype: str, shape: Sequence[int]) -> np.dtype[Any]:
    if datatype not in DATATYPES:
        raise ValueError(f"datatype {datatype!r} is unknown here")
    if math.prod(shape) > _MOST_ELEMENTS:
        raise ValueError(f"shape {list(shape)} has more than {_MOST_ELEMENTS} elements")
    return DATATYPES[datatype].dtype
