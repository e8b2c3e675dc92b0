"""The datatypes of the Open Inference Protocol, and what they are in numpy and in ONNX."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["DATATYPES", "DATATYPES_BY_ONNX_TYPE", "Datatype"]


@dataclass(frozen=True, slots=True)
class Datatype:
    """One datatype of the protocol."""

    name: str
    """The protocol's name, e.g. `FP32`."""
    dtype: np.dtype[Any]
    """Of our arrays. BF16, which numpy does not know, is uint16 of the same bits; BYTES are objects of type `str`."""
    item_size: int
    """Bytes of one element in raw contents; 0 for BYTES, whose elements vary."""
    onnx_type: str
    """ONNX Runtime's name, e.g. `tensor(float)`."""
    contents_field: str
    """The list of `InferTensorContents` that carries it; empty: it travels raw only."""


def _fixed(name: str, dtype: str, onnx_type: str, contents_field: str) -> Datatype:
    # Raw contents are little-endian; so are the hosts we run on, and numpy then uses the bytes as they are.
    numpy_dtype = np.dtype(dtype)
    return Datatype(name, numpy_dtype, numpy_dtype.itemsize, f"tensor({onnx_type})", contents_field)


_ALL = (
    _fixed("BOOL", "bool", "bool", "bool_contents"),
    _fixed("INT8", "<i1", "int8", "int_contents"),
    _fixed("INT16", "<i2", "int16", "int_contents"),
    _fixed("INT32", "<i4", "int32", "int_contents"),
    _fixed("INT64", "<i8", "int64", "int64_contents"),
    _fixed("UINT8", "<u1", "uint8", "uint_contents"),
    _fixed("UINT16", "<u2", "uint16", "uint_contents"),
    _fixed("UINT32", "<u4", "uint32", "uint_contents"),
    _fixed("UINT64", "<u8", "uint64", "uint64_contents"),
    _fixed("FP16", "<f2", "float16", ""),
    _fixed("FP32", "<f4", "float", "fp32_contents"),
    _fixed("FP64", "<f8", "double", "fp64_contents"),
    _fixed("BF16", "<u2", "bfloat16", ""),
    Datatype("BYTES", np.dtype(object), 0, "tensor(string)", "bytes_contents"),
)

DATATYPES: Mapping[str, Datatype] = {datatype.name: datatype for datatype in _ALL}
"""By the protocol's name."""

DATATYPES_BY_ONNX_TYPE: Mapping[str, Datatype] = {datatype.onnx_type: datatype for datatype in _ALL}
"""By ONNX Runtime's name."""
