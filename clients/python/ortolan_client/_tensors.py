"""Arrays to raw tensor bytes and back: little-endian, row-major, BYTES elements each behind its length.

BF16 has no numpy type. It goes in as `ml_dtypes.bfloat16`, or as uint16 bit patterns for an input that the model
declares as BF16; it comes out as uint16 bit patterns: `array.view(ml_dtypes.bfloat16)` reads them.
"""

import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Buffer", "datatype_of", "dtype_of", "from_raw", "to_raw"]

Buffer = bytes | memoryview

_DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BF16": np.dtype("<u2"),
}
_DATATYPES = {dtype: name for name, dtype in _DTYPES.items() if name != "BF16"}
_LENGTH = struct.Struct("<I")


def dtype_of(datatype: str) -> np.dtype[Any]:
    """What arrays of it have here: `object` for BYTES, uint16 for BF16. Raises ValueError for what is no datatype."""
    dtype = np.dtype(object) if datatype == "BYTES" else _DTYPES.get(datatype)
    if dtype is None:
        raise ValueError(f"{datatype!r} is no datatype of the protocol")
    return dtype


def datatype_of(array: NDArray[Any]) -> str:
    """The protocol's name of the array's type. Raises ValueError for what the protocol cannot carry."""
    known = _DATATYPES.get(array.dtype)
    if known is not None:
        return known
    if array.dtype.kind in "OSTU":
        return "BYTES"
    if array.dtype.name == "bfloat16":
        return "BF16"
    datatype = _DATATYPES.get(array.dtype.newbyteorder("<"))
    if datatype is None:
        raise ValueError(f"numpy type {array.dtype} has no counterpart in the protocol")
    return datatype


def to_raw(array: NDArray[Any], datatype: str) -> bytes | NDArray[Any]:
    """The array's elements as the wire wants them: bytes, or an array whose memory has them, which may be the same.

    Raises ValueError for objects that are no text and no bytes.
    """
    if datatype == "BYTES":
        return b"".join(_with_length(element) for element in array.ravel())
    dtype = _DTYPES[datatype]
    if array.dtype == dtype and array.flags.c_contiguous:
        return array
    if array.dtype.name == "bfloat16":
        array = array.view(np.uint16)
    return np.ascontiguousarray(array, dtype)


def _with_length(element: object) -> bytes:
    if isinstance(element, str):
        element = element.encode()
    if not isinstance(element, bytes):
        raise ValueError(f"elements are str or bytes, not {type(element).__name__}")  # noqa: TRY004 (one error for all)
    return _LENGTH.pack(len(element)) + element


def from_raw(raw: Buffer, datatype: str, shape: Sequence[int]) -> NDArray[Any]:
    """A view of `raw`, as writable as that is, or a copy where its alignment would slow down who reads it.

    BYTES become an array of `bytes` objects.

    Raises ValueError when the bytes do not fill the shape, or when the datatype is not one of the protocol's.
    """
    if datatype == "BYTES":
        return _bytes_array(bytes(raw), shape)
    dtype = dtype_of(datatype)
    wanted = math.prod(shape) * dtype.itemsize
    if len(raw) != wanted:
        raise ValueError(f"{datatype} {list(shape)} takes {wanted} bytes, {len(raw)} came")
    if not wanted:
        return np.empty(shape, dtype)
    array: NDArray[Any] = np.ndarray(shape, dtype, raw)
    if array.flags.aligned:
        return array
    array = array.copy()
    array.flags.writeable = False
    return array


def _bytes_array(raw: bytes, shape: Sequence[int]) -> NDArray[Any]:
    count = math.prod(shape)
    if count * _LENGTH.size > len(raw):  # before anything is allocated
        raise ValueError(f"BYTES {list(shape)} takes {count} elements, {len(raw)} bytes came")
    elements = np.empty(count, np.object_)
    at = 0
    for index in range(count):
        start = at + _LENGTH.size
        if start > len(raw):
            raise ValueError(f"BYTES {list(shape)} takes {count} elements, {index} came")
        at = start + _LENGTH.unpack_from(raw, start - _LENGTH.size)[0]
        if at > len(raw):
            raise ValueError(f"element {index} of BYTES {list(shape)} is cut off")
        elements[index] = raw[start:at]
    if at != len(raw):
        raise ValueError(f"{len(raw) - at} bytes came after the last element of BYTES {list(shape)}")
    return elements.reshape(shape)
