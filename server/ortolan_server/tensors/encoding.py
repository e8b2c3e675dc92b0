"""From arrays to the raw bytes of a response."""

import struct

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "encode_raw"]

Array = NDArray[np.generic]

_LENGTH = struct.Struct("<I")


def encode_raw(array: Array) -> bytes:
    """An entry of `raw_output_contents`: row-major, little-endian.

    Object arrays hold `str` and become BYTES: each element's length as a uint32, then its UTF-8.
    """
    if array.dtype.kind != "O":
        return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    parts: list[bytes] = []
    for text in array.ravel().tolist():
        data = text.encode()
        parts += (_LENGTH.pack(len(data)), data)
    return b"".join(parts)
