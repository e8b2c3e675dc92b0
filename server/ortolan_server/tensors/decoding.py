"""From a request's data to arrays.

All take headers that `Signature.check()` has passed. They return arrays of the header's shape whose memory may be
read-only and may be the message's own, and raise InvalidRequest for data that does not fit, and for a BYTES tensor of
more than 1,048,576 elements.
"""

import math
import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ortolan.inference.inference_pb2 import InferTensorContents
from ortolan_server.errors import InvalidRequest
from ortolan_server.tensors.datatypes import DATATYPES, Datatype
from ortolan_server.tensors.plans import InputPlan, TensorHeader
from ortolan_server.tensors.wording import quoted, shape_text

__all__ = ["decode_contents", "decode_inputs", "decode_raw"]

Array = NDArray[np.generic]

_LENGTH = struct.Struct("<I")
# An element is an object of Python's and one of ONNX Runtime's: 61 MiB of empty ones, 4 bytes each on the wire, have
# been seen to take 4.5 GiB and 20 s until their response was sent.
_MAX_STRINGS = 2**20
# Of the lists of `InferTensorContents` that carry integers.
_CARRIERS = {
    "int_contents": np.int32,
    "int64_contents": np.int64,
    "uint_contents": np.uint32,
    "uint64_contents": np.uint64,
}


def decode_inputs(plan: InputPlan, raw: Sequence[bytes | memoryview]) -> dict[str, Array]:
    """Reads the entries of `raw_input_contents`, by input name. That there is one for each header has been seen to."""
    feeds: dict[str, Array] = {}
    # Of a small request this is the most expensive step: `strict=True` alone would add a fifth.
    for (name, shape, dtype, view_bytes, header), data in zip(plan.inputs, raw):  # noqa: B905
        if len(data) != view_bytes:
            feeds[name] = decode_raw(header, data)
            continue
        array: Array = np.ndarray(shape, dtype, data)
        feeds[name] = array if array.flags.aligned else array.copy()
    return feeds


def decode_raw(header: TensorHeader, data: bytes | memoryview) -> Array:
    """Reads an entry of `raw_input_contents`; numbers are viewed in place, where their alignment allows it."""
    datatype = DATATYPES[header.datatype]
    count = math.prod(header.shape)
    if not datatype.item_size:
        return _objects(_raw_strings(header, data, count), header)
    if len(data) != count * datatype.item_size:
        raise InvalidRequest(
            f"input {quoted(header.name)} has {len(data)} bytes of data; "
            f"wanted {count * datatype.item_size} for {_described(header)}"
        )
    if not count:
        return np.empty(header.shape, datatype.dtype)
    if datatype.name == "BOOL":
        _check_booleans(header, data)
    array: Array = np.ndarray(header.shape, datatype.dtype, data)
    # A view into the middle of a message may be misaligned, which ONNX Runtime does not expect.
    return array if array.flags.aligned else array.copy()


def decode_contents(header: TensorHeader, contents: InferTensorContents) -> Array:
    """Reads the typed `contents` of an input."""
    datatype = DATATYPES[header.datatype]
    values = _typed_values(header, datatype, contents)
    count = math.prod(header.shape)
    if len(values) != count:
        raise InvalidRequest(
            f"input {quoted(header.name)} has {len(values)} elements in its contents; "
            f"wanted {count} for {_described(header)}"
        )
    if datatype.name == "BYTES":
        _check_string_count(header, count)
        return _objects(_typed_strings(header, values), header)
    if datatype.contents_field in _CARRIERS:
        array = _integers(header, datatype, values)
    else:
        array = np.fromiter(values, datatype.dtype, count)
    return array.reshape(header.shape)


def _typed_values(header: TensorHeader, datatype: Datatype, contents: InferTensorContents) -> Sequence[bytes]:
    """The one list that is filled. Its elements are typed as `bytes`, which they are for BYTES only."""
    wanted = datatype.contents_field
    values: Sequence[bytes] = ()
    for descriptor, filled in contents.ListFields():
        if not wanted:
            raise InvalidRequest(
                f"input {quoted(header.name)} has {descriptor.name}; {datatype.name} travels in raw_input_contents only"
            )
        if descriptor.name != wanted:
            raise InvalidRequest(
                f"input {quoted(header.name)} has {descriptor.name}; wanted {wanted} for {datatype.name}"
            )
        values = filled
    return values


def _integers(header: TensorHeader, datatype: Datatype, values: Sequence[bytes]) -> Array:
    """INT8 to UINT16 ride in 32-bit lists: what does not fit is refused, not wrapped."""
    carrier = _CARRIERS[datatype.contents_field]
    array = np.fromiter(values, carrier, len(values))
    if array.dtype == datatype.dtype or not array.size:
        return array.astype(datatype.dtype, copy=False)
    limits = np.iinfo(datatype.dtype)
    for index in (int(array.argmin()), int(array.argmax())):
        if not limits.min <= array[index] <= limits.max:
            raise InvalidRequest(
                f"input {quoted(header.name)} has {array[index]} at element {index}; "
                f"wanted {limits.min} to {limits.max} for {datatype.name}"
            )
    return array.astype(datatype.dtype)


def _check_string_count(header: TensorHeader, count: int) -> None:
    if count > _MAX_STRINGS:
        raise InvalidRequest(
            f"input {quoted(header.name)} has {count} elements of BYTES; wanted at most {_MAX_STRINGS} in one tensor"
        )


def _typed_strings(header: TensorHeader, values: Sequence[bytes]) -> list[str]:
    strings = [""] * len(values)
    index = 0
    try:
        for index, value in enumerate(values):
            strings[index] = str(value, "utf-8")
    except UnicodeDecodeError as error:
        raise _not_text(header, index, error) from error
    return strings


def _raw_strings(header: TensorHeader, data: bytes | memoryview, count: int) -> list[str]:
    """Each element is its length as a little-endian uint32, then so many bytes of UTF-8."""
    size = len(data)
    # Said first, so that a count which the data cannot hold costs no memory.
    if size < count * _LENGTH.size:
        raise InvalidRequest(
            f"input {quoted(header.name)} has {size} bytes of data; "
            f"wanted at least {count * _LENGTH.size} for the lengths of {_described(header)}"
        )
    _check_string_count(header, count)
    strings: list[str] = []
    read_length = _LENGTH.unpack_from
    end = 0
    try:
        for index in range(count):
            start = end + _LENGTH.size
            if start > size:
                raise InvalidRequest(
                    f"input {quoted(header.name)} ends after {index} of {count} elements; wanted {_described(header)}"
                )
            (length,) = read_length(data, end)
            end = start + length
            if end > size:
                raise InvalidRequest(
                    f"input {quoted(header.name)} element {index} says it has {length} bytes; "
                    f"{size - start} are left of the data"
                )
            strings.append(str(data[start:end], "utf-8"))
    except UnicodeDecodeError as error:
        raise _not_text(header, len(strings), error) from error
    if end != size:
        raise InvalidRequest(
            f"input {quoted(header.name)} has {size - end} bytes of data behind its {count} elements; wanted none"
        )
    return strings


def _not_text(header: TensorHeader, index: int, error: UnicodeDecodeError) -> InvalidRequest:
    return InvalidRequest(
        f"input {quoted(header.name)} element {index} is not UTF-8 at byte {error.start}; "
        "wanted text, which is all that ONNX strings can hold"
    )


def _objects(strings: list[str], header: TensorHeader) -> Array:
    array = np.empty(len(strings), object)
    array[:] = strings
    return array.reshape(header.shape)


def _check_booleans(header: TensorHeader, data: bytes | memoryview) -> None:
    largest = int(np.frombuffer(data, np.uint8).max())
    if largest > 1:
        raise InvalidRequest(f"input {quoted(header.name)} has a byte {largest} in its data; wanted 0 or 1 for BOOL")


def _described(header: TensorHeader) -> str:
    return f"{header.datatype}{shape_text(header.shape)}"
