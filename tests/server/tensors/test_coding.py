"""Bytes and typed lists to arrays and back."""

import math
import struct
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from ortolan.inference.inference_pb2 import InferTensorContents
from ortolan_server.errors import InvalidRequest
from ortolan_server.tensors import DATATYPES, TensorHeader, decode_contents, decode_raw, encode_raw

Array = NDArray[np.generic]

SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


@st.composite
def tensors(draw: st.DrawFn, names: tuple[str, ...] = tuple(DATATYPES)) -> tuple[TensorHeader, Array]:
    datatype = DATATYPES[draw(st.sampled_from(names))]
    shape = draw(SHAPES)
    if datatype.name == "BYTES":
        array = np.empty(math.prod(shape), object)
        array[:] = draw(st.lists(TEXTS, min_size=array.size, max_size=array.size))
        array = array.reshape(shape)
    else:
        array = draw(hnp.arrays(datatype.dtype, shape))
    return TensorHeader("x", datatype.name, shape), array


def same(left: Array, right: Array) -> bool:
    """Bit by bit, so that NaN equals itself."""
    if left.dtype != right.dtype or left.shape != right.shape:
        return False
    return left.tolist() == right.tolist() if left.dtype == object else left.tobytes() == right.tobytes()


@given(tensors())
def test_raw_round_trip(tensor: tuple[TensorHeader, Array]) -> None:
    header, array = tensor
    assert same(decode_raw(header, encode_raw(array)), array)


@given(tensors(tuple(name for name, datatype in DATATYPES.items() if datatype.contents_field)))
def test_typed_round_trip(tensor: tuple[TensorHeader, Array]) -> None:
    header, array = tensor
    field = DATATYPES[header.datatype].contents_field
    contents = InferTensorContents()
    getattr(contents, field).extend(
        value.encode() if isinstance(value, str) else value for value in array.ravel().tolist()
    )
    assert same(decode_contents(header, contents), array)


@given(st.sampled_from(tuple(DATATYPES)), SHAPES, st.binary(max_size=64))
def test_any_bytes_decode_or_are_refused(name: str, shape: tuple[int, ...], data: bytes) -> None:
    header = TensorHeader("x", name, shape)
    try:
        array = decode_raw(header, data)
    except InvalidRequest:
        return
    assert array.shape == shape
    assert encode_raw(array) == data


def test_numbers_are_viewed_in_place() -> None:
    data = np.arange(6, dtype=np.float32).tobytes()
    array = decode_raw(TensorHeader("x", "FP32", (2, 3)), data)
    assert np.shares_memory(array, np.frombuffer(data, np.uint8))
    assert not array.flags.writeable


def test_misaligned_numbers_are_copied() -> None:
    values = np.arange(6, dtype=np.float64)
    array = decode_raw(TensorHeader("x", "FP64", (6,)), memoryview(b"?" + values.tobytes())[1:])
    assert array.flags.aligned
    assert same(array, values)


def test_encoding_is_row_major_whatever_the_memory_order() -> None:
    array = np.arange(6, dtype=np.int16).reshape(2, 3)
    assert encode_raw(np.asfortranarray(array)) == encode_raw(array) == struct.pack("<6h", *range(6))


def test_bytes_on_the_wire() -> None:
    texts = np.array([["ü", ""], ["a\0b", "日本"]], object)
    raw = b"\x02\0\0\0\xc3\xbc" + b"\0\0\0\0" + b"\x03\0\0\0a\0b" + b"\x06\0\0\0" + "日本".encode()
    assert encode_raw(texts) == raw
    assert same(decode_raw(TensorHeader("x", "BYTES", (2, 2)), memoryview(raw)), texts)


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "text"),
    [
        ("FP32", (2,), b"\0" * 7, "input 'x' has 7 bytes of data; wanted 8 for FP32[2]"),
        ("FP32", (), b"", "input 'x' has 0 bytes of data; wanted 4 for FP32[]"),
        ("FP32", (0, 3), b"\0", "input 'x' has 1 bytes of data; wanted 0 for FP32[0,3]"),
        ("INT64", (2**59,), b"\0" * 8, f"wanted {2**62} for INT64[{2**59}]"),
        ("BOOL", (2,), b"\1\2", "input 'x' has a byte 2 in its data; wanted 0 or 1 for BOOL"),
        ("BYTES", (2**59,), b"\0" * 8, f"has 8 bytes of data; wanted at least {2**61} for the lengths of BYTES"),
        ("BYTES", (1,), b"", "input 'x' has 0 bytes of data; wanted at least 4 for the lengths of BYTES[1]"),
        ("BYTES", (2,), b"\5\0\0\0hello", "input 'x' ends after 1 of 2 elements; wanted BYTES[2]"),
        ("BYTES", (2,), b"\0\0\0\0\6\0\0\0hello", "input 'x' element 1 says it has 6 bytes; 5 are left of the data"),
        ("BYTES", (1,), b"\xff\xff\xff\xff", "input 'x' element 0 says it has 4294967295 bytes; 0 are left"),
        ("BYTES", (1,), b"\1\0\0\0abc", "input 'x' has 2 bytes of data behind its 1 elements; wanted none"),
        ("BYTES", (0,), b"\0\0\0\0", "input 'x' has 4 bytes of data behind its 0 elements; wanted none"),
        ("BYTES", (2,), b"\1\0\0\0a\2\0\0\0a\xff", "input 'x' element 1 is not UTF-8 at byte 1; wanted text"),
    ],
)
def test_raw_data_that_does_not_fit(datatype: str, shape: tuple[int, ...], data: bytes, text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_raw(TensorHeader("x", datatype, shape), data)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("datatype", "shape", "contents", "text"),
    [
        ("INT8", (2,), {"int_contents": [1, 300]}, "has 300 at element 1; wanted -128 to 127 for INT8"),
        ("INT8", (1,), {"int_contents": [-129]}, "has -129 at element 0; wanted -128 to 127"),
        ("INT16", (1,), {"int_contents": [32768]}, "has 32768 at element 0; wanted -32768 to 32767"),
        ("UINT8", (1,), {"uint_contents": [256]}, "has 256 at element 0; wanted 0 to 255 for UINT8"),
        ("UINT16", (1,), {"uint_contents": [65536]}, "has 65536 at element 0; wanted 0 to 65535"),
        ("FP32", (2,), {"fp32_contents": [1.0]}, "has 1 elements in its contents; wanted 2 for FP32[2]"),
        ("FP32", (2**61,), {"fp32_contents": [1.0]}, "has 1 elements in its contents; wanted 2305843009213693952"),
        ("FP32", (0,), {"fp32_contents": [1.0]}, "has 1 elements in its contents; wanted 0 for FP32[0]"),
        ("FP32", (), {}, "has 0 elements in its contents; wanted 1 for FP32[]"),
        ("FP32", (1,), {"fp64_contents": [1.0]}, "has fp64_contents; wanted fp32_contents for FP32"),
        ("INT64", (1,), {"int64_contents": [1], "int_contents": [1]}, "has int_contents; wanted int64_contents"),
        ("FP16", (1,), {"fp32_contents": [1.0]}, "has fp32_contents; FP16 travels in raw_input_contents only"),
        ("BF16", (1,), {"uint_contents": [1]}, "has uint_contents; BF16 travels in raw_input_contents only"),
        ("BF16", (1,), {}, "has 0 elements in its contents; wanted 1 for BF16[1]"),
        ("BYTES", (1,), {"bytes_contents": [b"a\xff"]}, "element 0 is not UTF-8 at byte 1; wanted text"),
    ],
)
def test_contents_that_do_not_fit(
    datatype: str, shape: tuple[int, ...], contents: dict[str, list[float | bytes]], text: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_contents(TensorHeader("x", datatype, shape), InferTensorContents(**contents))  # type: ignore[arg-type]
    assert f"input 'x' {text}" in str(caught.value)


@pytest.mark.parametrize("datatype", DATATYPES)
def test_empty_tensor_needs_no_data(datatype: str) -> None:
    header = TensorHeader("x", datatype, (0, 4))
    for array in (decode_contents(header, InferTensorContents()), decode_raw(header, b"")):
        assert array.shape == (0, 4)
        assert array.dtype == DATATYPES[datatype].dtype
        assert encode_raw(array) == b""


def peak_bytes(decode: Callable[[], Array]) -> int:
    """The most memory that the call held at once, its result included and its arguments not."""
    tracemalloc.start()
    try:
        decode()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("datatype", "largest", "bytes_each"), [("INT8", 127, 6), ("UINT16", 65535, 7), ("INT32", 2**31 - 1, 5)]
)
def test_integers_are_widened_no_more_than_they_came(datatype: str, largest: int, bytes_each: int) -> None:
    count = 100_000
    field = DATATYPES[datatype].contents_field
    header = TensorHeader("x", datatype, (count,))
    contents = InferTensorContents(**{field: [largest] * count})  # type: ignore[arg-type]
    assert peak_bytes(lambda: decode_contents(header, contents)) < bytes_each * count


@pytest.mark.parametrize("shape", [(2**20 + 1,), (2**11, 2**10)])
def test_more_strings_than_one_tensor_may_have(shape: tuple[int, ...]) -> None:
    count = math.prod(shape)
    header = TensorHeader("x", "BYTES", shape)
    text = f"^input 'x' has {count} elements of BYTES; wanted at most 1048576 in one tensor$"
    with pytest.raises(InvalidRequest, match=text):
        decode_raw(header, bytes(4 * count))
    with pytest.raises(InvalidRequest, match=text):
        decode_contents(header, InferTensorContents(bytes_contents=[b""] * count))


def test_as_many_strings_as_one_tensor_may_have() -> None:
    assert decode_raw(TensorHeader("x", "BYTES", (2**20,)), bytes(4 * 2**20)).size == 2**20


def test_integer_below_the_range_is_told_from_one_above() -> None:
    contents = InferTensorContents(int_contents=[0, 127, -128, -129, 5])
    with pytest.raises(InvalidRequest, match="has -129 at element 3; wanted -128 to 127 for INT8"):
        decode_contents(TensorHeader("x", "INT8", (5,)), contents)


def test_numbers_at_the_edges_of_their_range() -> None:
    edges = {"INT8": [-128, 127], "UINT16": [0, 65535], "UINT64": [0, 2**64 - 1], "INT64": [-(2**63), 2**63 - 1]}
    for name, values in edges.items():
        contents = InferTensorContents(**{DATATYPES[name].contents_field: values})  # type: ignore[arg-type]
        assert decode_contents(TensorHeader("x", name, (2,)), contents).tolist() == values
