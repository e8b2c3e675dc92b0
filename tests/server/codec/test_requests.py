"""Requests read by the codec, held against protobuf's own reading of them."""

import re
import struct

import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ortolan.inference.inference_pb2 import InferParameter, InferTensorContents, ModelInferRequest
from ortolan.wire import CUT_BYTES, read_varint, varint
from ortolan_server.codec import read_request
from ortolan_server.errors import InvalidRequest

THOROUGH = settings(max_examples=300)

LENGTH, VARINT, FIXED64, GROUP, GROUP_END, FIXED32 = 2, 0, 1, 3, 4, 5
RAW = 7
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
LARGE = bytes(CUT_BYTES)


def check(data: bytes) -> None:
    """Reads the same as protobuf, or refuses the same: the first time, and once it may remember."""
    check_once(data)
    check_once(data)


def check_once(data: bytes) -> None:
    try:
        expected = ModelInferRequest.FromString(data)
    except DecodeError:
        with pytest.raises(InvalidRequest, match=r"^the request is not a inference\.ModelInferRequest message$"):
            read_request(data)
        return
    shared, raw, _ = read_request(data)
    assert [bytes(entry) for entry in raw] == list(expected.raw_input_contents)
    message = ModelInferRequest()
    message.CopyFrom(shared)
    for each in (message, expected):
        each.ClearField("raw_input_contents")
    # As bytes, so that unknown fields count too and NaN equals itself.
    assert message.SerializeToString(deterministic=True) == expected.SerializeToString(deterministic=True)


def was_cut(data: bytes) -> bool:
    message, raw, _ = read_request(data)
    return bool(raw) and isinstance(raw[0], memoryview) and not message.raw_input_contents


def number(value: int, size_bytes: int = 0) -> bytes:
    """A varint, made longer than it need be with empty digits."""
    short = varint(value)
    missing = size_bytes - len(short)
    return short if missing <= 0 else bytes((*short[:-1], short[-1] | 0x80, *[0x80] * (missing - 1), 0))


def field(tag: int, wire_type: int, rest: bytes) -> bytes:
    return number(tag << 3 | wire_type) + rest


def large(tag: int = RAW) -> bytes:
    return field(tag, LENGTH, number(len(LARGE)) + LARGE)


PARAMETERS = st.dictionaries(
    TEXTS,
    st.one_of(
        st.builds(InferParameter, bool_param=st.booleans()),
        st.builds(InferParameter, double_param=st.floats()),
        st.builds(InferParameter, string_param=TEXTS),
    ),
    max_size=2,
)
INPUTS = st.builds(
    ModelInferRequest.InferInputTensor,
    name=TEXTS,
    datatype=TEXTS,
    shape=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3),
    parameters=PARAMETERS,
    contents=st.one_of(
        st.none(), st.builds(InferTensorContents, fp32_contents=st.lists(st.floats(-(2.0**100), 2.0**100, width=32)))
    ),
)
REQUESTS = st.builds(
    ModelInferRequest,
    model_name=TEXTS,
    model_version=TEXTS,
    id=TEXTS,
    parameters=PARAMETERS,
    inputs=st.lists(INPUTS, max_size=3),
    outputs=st.lists(
        st.builds(ModelInferRequest.InferRequestedOutputTensor, name=TEXTS, parameters=PARAMETERS), max_size=2
    ),
    raw_input_contents=st.lists(st.binary(max_size=20) | st.builds(bytes, st.just(CUT_BYTES)), max_size=3),
)

# Tags and lengths as they should be, and every way in which they should not.
NUMBERS = st.one_of(
    st.integers(0, 9), st.integers(0, 2**29 - 1), st.sampled_from([2**28, 2**29, 2**31, 2**32, 2**61, 2**64 - 1])
)
SIZES = st.sampled_from([0, 0, 0, 2, 4, 5, 6, 9, 10, 11])


@st.composite
def chunks(draw: st.DrawFn) -> bytes:
    """Something where a field is expected."""
    tag = draw(st.one_of(st.integers(1, RAW), NUMBERS))
    wire_type = draw(st.one_of(st.just(LENGTH), st.integers(0, 7)))
    head = number(tag << 3 | wire_type, draw(SIZES))
    if wire_type == LENGTH:
        payload = draw(st.one_of(st.binary(max_size=6), TEXTS.map(str.encode)))
        length = draw(st.one_of(st.just(len(payload)), st.just(len(payload)), NUMBERS))
        return head + number(length, draw(SIZES)) + payload
    if wire_type == VARINT:
        return head + number(draw(NUMBERS), draw(SIZES))
    if wire_type == GROUP:
        return head + draw(chunks()) + draw(st.sampled_from([number(tag << 3 | GROUP_END), b""]))
    return head + bytes({FIXED64: 8, FIXED32: 4}.get(wire_type, 0))


@THOROUGH
@given(REQUESTS)
def test_valid_requests_read_as_protobuf_reads_them(request_: ModelInferRequest) -> None:
    check(request_.SerializeToString())


@THOROUGH
@given(st.lists(chunks(), max_size=4), st.lists(chunks(), max_size=4), st.sampled_from([RAW, RAW, 5, 9]))
def test_any_fields_read_as_protobuf_reads_them(before: list[bytes], behind: list[bytes], tag: int) -> None:
    check(b"".join((*before, large(tag), *behind)))


@THOROUGH
@given(st.permutations([*range(1, 8)] * 2), st.data())
def test_fields_in_any_order_and_any_number(order: list[int], data: st.DataObject) -> None:
    parts = {
        1: b"\x0a\x01m",
        2: b"\x12\x01v",
        3: b"\x1a\x01i",
        4: b"\x22\x03\x0a\x01k",
        5: b"\x2a\x03\x0a\x01n",
        6: b"\x32\x03\x0a\x01o",
        7: large(),
    }
    message = b"".join(parts[each] for each in order)
    assert was_cut(message)
    check(message)
    # Cut short anywhere near an end, or with a byte changed outside the data.
    places = [match.start() for match in re.finditer(rb"[^\0]", message)]
    at = data.draw(st.sampled_from(places))
    check(message[:at])
    check(message[:at] + bytes((data.draw(st.integers(0, 255)),)) + message[at + 1 :])


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(field(RAW, VARINT, b"\x05"), id="raw as a number"),
        pytest.param(field(RAW, FIXED64, bytes(8)), id="raw as eight bytes"),
        pytest.param(field(RAW, FIXED32, bytes(4)), id="raw as four bytes"),
        pytest.param(field(RAW, GROUP, field(RAW, GROUP_END, b"")), id="raw as a group"),
        pytest.param(field(RAW, GROUP, large() + field(RAW, GROUP_END, b"")), id="raw in a group of raw"),
        pytest.param(field(9, GROUP, large() + field(9, GROUP_END, b"")), id="raw in an unknown group"),
        pytest.param(field(9, GROUP, b""), id="a group without an end"),
        pytest.param(field(9, GROUP_END, b""), id="an end without a group"),
        # What looks like a tensor there, to who takes the wrong bytes for a length, is none.
        pytest.param(field(9, FIXED64, b"\0\x3a\1a\x0a\2mm"), id="eight bytes that look like raw"),
        pytest.param(field(9, FIXED32, b"\0\x3a\1a"), id="four bytes that look like raw"),
        pytest.param(field(9, VARINT, b"\1") + b"\x0a\x3a" + b"9" * 58, id="a name that looks like raw"),
        pytest.param(field(16, LENGTH, b"\3\x3a\1a"), id="a field of two bytes' tag that looks like raw"),
        pytest.param(field(1, VARINT, b"\1") + b"\x0a\x3a" + b"9" * 58, id="a name as a number"),
        pytest.param(field(0, LENGTH, b"\0"), id="field 0"),
        pytest.param(field(2**29 - 1, LENGTH, b"\0"), id="the last field"),
        pytest.param(field(2**29, LENGTH, b"\0"), id="a field too far"),
        pytest.param(b"\xba" + b"\x80" * 3 + b"\0\0", id="a tag of five bytes"),
        pytest.param(b"\xba" + b"\x80" * 4 + b"\0\0", id="a tag of six bytes"),
        pytest.param(b"\xba" + b"\x80" * 8 + b"\0\0", id="a tag of ten bytes"),
        pytest.param(b"\xba" + b"\x80" * 9 + b"\0\0", id="a tag of eleven bytes"),
        pytest.param(b"\x3a" + number(3, 5) + b"abc", id="a length of five bytes"),
        pytest.param(b"\x3a" + number(3, 6) + b"abc", id="a length of six bytes"),
        pytest.param(b"\x3a" + number(3, 10) + b"abc", id="a length of ten bytes"),
        pytest.param(b"\x3a" + number(3, 11) + b"abc", id="a length of eleven bytes"),
        pytest.param(b"\x3a" + number(2**31 - 1), id="a length as far as an int32 goes"),
        pytest.param(b"\x3a" + number(2**32 + 3) + b"abc", id="a length that wraps to 3"),
        pytest.param(b"\x3a" + number(2**64 - 1), id="a length that wraps to -1"),
        pytest.param(b"\x3a\x02a", id="one byte missing"),
        pytest.param(b"\x3a", id="no length"),
        pytest.param(b"\x3a\x80", id="half a length"),
        pytest.param(b"\x80", id="half a tag"),
        pytest.param(b"\x0a\x01\xff", id="a name that is not UTF-8"),
        pytest.param(b"\x1a\x03\xed\xa0\x80", id="an id with half of a pair"),
        pytest.param(b"\x2a\x03\x0a\x01\xff", id="a tensor's name that is not UTF-8"),
        pytest.param(b"\x2a\x01\x0a", id="a tensor that ends too early"),
    ],
)
def test_unusual_fields_around_a_tensor(part: bytes) -> None:
    for data in (large() + part, part + large(), large() + part + large(), part):
        check(data)


@pytest.mark.parametrize("fields", [1023, 1024, 1025, 5000])
def test_many_small_entries(fields: int) -> None:
    data = large() + b"\x3a\x01a" * (fields - 1)
    assert len(read_request(data).raw) == fields
    check(data)


def test_tensors_of_large_messages_stay_where_they_are() -> None:
    request = ModelInferRequest(model_name="m", id="7", raw_input_contents=[LARGE, b"abcd"])
    data = request.SerializeToString()
    message, raw, _ = read_request(data)
    assert all(isinstance(entry, memoryview) and entry.obj is data for entry in raw)
    assert (message.model_name, message.id, len(message.raw_input_contents)) == ("m", "7", 0)


def test_size_from_which_messages_are_cut() -> None:
    def of_size(size: int) -> bytes:
        empty = ModelInferRequest(raw_input_contents=[bytes(CUT_BYTES - 16)]).ByteSize() - (CUT_BYTES - 16)
        return ModelInferRequest(raw_input_contents=[bytes(size - empty)]).SerializeToString()

    assert (len(of_size(CUT_BYTES)), was_cut(of_size(CUT_BYTES))) == (CUT_BYTES, True)
    assert (len(of_size(CUT_BYTES - 1)), was_cut(of_size(CUT_BYTES - 1))) == (CUT_BYTES - 1, False)


def test_large_typed_contents_are_protobufs_business() -> None:
    contents = InferTensorContents(fp32_contents=[0.5] * CUT_BYTES)
    tensor = ModelInferRequest.InferInputTensor(name="x", contents=contents)
    data = ModelInferRequest(inputs=[tensor]).SerializeToString()
    check(data)
    assert not was_cut(data)


@THOROUGH
@given(st.integers(0, 2**35 - 1), st.binary(max_size=3), st.binary(max_size=3))
@example(0, b"", b"")
@example(127, b"", b"")
@example(128, b"", b"")
def test_varints_there_and_back(value: int, before: bytes, behind: bytes) -> None:
    data = before + varint(value) + behind
    assert read_varint(data, len(before)) == (value, len(data) - len(behind))


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff\xff\xff\xff", b"\x80" * 5 + b"\1", struct.pack("<q", -1)])
def test_varints_that_are_none(data: bytes) -> None:
    with pytest.raises(ValueError, match="no number of at most five bytes"):
        read_varint(data, 0)
