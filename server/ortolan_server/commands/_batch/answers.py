"""Answers as Arrow's columns: a tensor's first dimension counts the rows, the others become lists."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ortolan_client import TensorSpec
from ortolan_server.commands._tensor_files import float_values, text_values

__all__ = ["answer_column", "column_of"]


def column_of(array: NDArray[Any], sizes: Sequence[int] | None = None) -> pa.Array:
    """Rows of `array` as they are; `sizes` has -1 for dimensions that differ from block to block."""
    flat = np.ascontiguousarray(array, array.dtype.newbyteorder("=")).reshape(-1)
    column = pa.array(flat, from_pandas=False)
    for axis in range(array.ndim - 1, 0, -1):
        size = array.shape[axis]
        if size and (sizes is None or sizes[axis - 1] == size):
            column = pa.FixedSizeListArray.from_arrays(column, size)
        else:
            offsets = np.arange(math.prod(array.shape[:axis]) + 1, dtype=np.int32) * np.int32(size)
            column = pa.ListArray.from_arrays(pa.array(offsets), column)
    return column


def answer_column(array: NDArray[Any], spec: TensorSpec | None) -> pa.Array:
    """BF16 comes as float32, text as text: what is no UTF-8 keeps its bytes as escapes."""
    if spec is not None and spec.datatype == "BF16":
        array = float_values(array, "BF16")
    if array.dtype == object:
        array = text_values(array).astype(object)
    declared = None if spec is None or len(spec.shape) != array.ndim else spec.shape[1:]
    return column_of(array, (-1,) * (array.ndim - 1) if declared is None else declared)
