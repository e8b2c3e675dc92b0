"""Requests and answers in the client's own hand, held against protobuf's."""

import math
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ortolan.inference import inference_pb2 as v2
from ortolan.wire import CUT_BYTES, RAW_OUTPUT, cut, filling, varint
from ortolan_client import BadAnswer, InvalidInput, MessageTooLarge
from ortolan_client._messages import read_answer, read_stream_answer, write_request

THOROUGH = settings(max_examples=200)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
DTYPES = {"FP32": "<f4", "INT64": "<i8", "INT8": "i1", "BOOL": "?", "FP16": "<f2", "UINT16": "<u2"}


@st.composite
def arrays(draw: st.DrawFn) -> tuple[str, NDArray[Any]]:
    """Sometimes large, so that messages are cut or filled up."""
    datatype = draw(st.sampled_from(sorted(DTYPES)))
    shape = draw(st.sampled_from([(), (0,), (3,), (2, 3), (1, 0, 2), (CUT_BYTES,), (3, 23_333)]))
    count = math.prod(shape)
    values = np.arange(count) % draw(st.integers(1, 100))
    return datatype, values.astype(DTYPES[datatype]).reshape(shape)


ARRAYS = st.dictionaries(NAMES, arrays(), max_size=3)


def written(arrays: dict[str, tuple[str, NDArray[Any]]], **more: Any) -> bytes:
    settings: dict[str, Any] = {"version": "", "outputs": None, "request_id": "", "declared": {}, **more}
    return write_request("m", {name: array for name, (_, array) in arrays.items()}, **settings)


@THOROUGH
@given(ARRAYS, NAMES, NAMES, st.lists(NAMES, max_size=2))
def test_requests_are_those_that_protobuf_would_write(
    given_arrays: dict[str, tuple[str, NDArray[Any]]], version: str, request_id: str, outputs: list[str]
) -> None:
    expected = v2.ModelInferRequest(model_name="m", model_version=version, id=request_id)
    for name, (datatype, array) in given_arrays.items():
        expected.inputs.add(name=name, datatype=datatype, shape=array.shape)
        expected.raw_input_contents.append(array.tobytes())
    for name in outputs:
        expected.outputs.add(name=name)
    data = written(given_arrays, version=version, request_id=request_id, outputs=outputs)
    assert v2.ModelInferRequest.FromString(data) == expected


@pytest.mark.parametrize("request_id", ["", *("x" * length for length in range(1, 10))])
def test_the_largest_tensor_of_a_large_request_is_aligned(request_id: str) -> None:
    small, large = np.arange(3, dtype=np.int8), np.arange(CUT_BYTES, dtype=np.float64)
    two: dict[str, tuple[str, NDArray[Any]]] = {"a": ("INT8", small), "b": ("FP64", large)}
    for inputs in (two, dict(reversed(two.items())), {"b": ("FP64", large)}):
        data = written(inputs, request_id=request_id)
        assert data.index(large.tobytes()) % 8 == 0
        assert v2.ModelInferRequest.FromString(data).id == request_id


@pytest.mark.parametrize("start", range(16))
def test_filling_ends_at_a_multiple_of_eight_and_says_nothing(start: int) -> None:
    filled = filling(start)
    assert (start + len(filled)) % 8 == 0
    assert v2.ModelInferRequest.FromString(filled) == v2.ModelInferRequest()
    behind = v2.ModelInferRequest.FromString(filled + b"\x1a\x01i")
    assert behind.id == "i"


def test_what_no_message_can_carry_is_refused_before_it_is_joined() -> None:
    huge = np.broadcast_to(np.zeros(1, np.float32), (2**15, 2**14))  # takes no memory
    with pytest.raises(MessageTooLarge, match="send fewer rows at a time"):
        written({"x": ("FP32", huge)})


@pytest.mark.parametrize("inputs", [{"x": [[1], [2, 3]]}])
def test_what_is_no_array_is_refused(inputs: dict[str, Any]) -> None:
    from ortolan_client._messages import as_arrays  # noqa: PLC0415

    with pytest.raises(InvalidInput, match="input 'x'") as caught:
        as_arrays(inputs, "m")
    assert caught.value.model == "m"


def test_inputs_have_names() -> None:
    from ortolan_client._messages import as_arrays  # noqa: PLC0415

    unnamed: Any = np.zeros(3)
    with pytest.raises(InvalidInput, match="by name, not ndarray: {'NAME': array}; a handle") as caught:
        as_arrays(unnamed, "m")
    assert caught.value.model == "m"


@st.composite
def answers(draw: st.DrawFn) -> v2.ModelInferResponse:
    answer = v2.ModelInferResponse(model_name="m", id=draw(NAMES))
    for name, (datatype, array) in draw(ARRAYS).items():
        answer.outputs.add(name=name, datatype=datatype, shape=array.shape)
        answer.raw_output_contents.append(array.tobytes())
    if draw(st.booleans()):
        answer.parameters["triton_final_response"].bool_param = True
    return answer


def check(answer: v2.ModelInferResponse, came: dict[str, NDArray[Any]]) -> None:
    assert list(came) == [output.name for output in answer.outputs]
    for output, raw in zip(answer.outputs, answer.raw_output_contents, strict=True):
        array = came[output.name]
        assert (array.tobytes(), array.shape) == (raw, tuple(output.shape))
        assert array.dtype == np.dtype(DTYPES[output.datatype])
        assert array.flags.aligned
        assert not array.size or not array.flags.writeable


@THOROUGH
@given(answers())
def test_answers_read_as_protobuf_reads_them(answer: v2.ModelInferResponse) -> None:
    check(answer, read_answer(answer.SerializeToString(), "m"))
    streamed = v2.ModelStreamInferResponse(infer_response=answer).SerializeToString()
    came = read_stream_answer(streamed, "m")
    assert not isinstance(came, str)
    check(answer, came)


@THOROUGH
@given(answers(), st.integers(0, 2**32), st.integers(0, 255))
def test_answers_that_are_broken_are_refused_or_read_alike(
    answer: v2.ModelInferResponse, place: int, byte: int
) -> None:
    data = answer.SerializeToString()
    at = place % max(1, len(data))
    for broken in (data[:at], data[:at] + bytes((byte,)) + data[at + 1 :]):
        try:
            wanted = v2.ModelInferResponse.FromString(broken)
        except DecodeError:
            with pytest.raises(BadAnswer, match="is not a inference.ModelInferResponse message"):
                read_answer(broken, "m")
            continue
        try:
            came = read_answer(broken, "m")
        except BadAnswer:
            continue
        assert [came[name].size for name in came] == [
            math.prod(output.shape) for output in {output.name: output for output in wanted.outputs}.values()
        ]


def test_tensors_of_large_answers_stay_where_they_are() -> None:
    x = np.arange(CUT_BYTES, dtype=np.uint8)
    answer = v2.ModelInferResponse(model_name="m")
    answer.outputs.add(name="y", datatype="UINT8", shape=[CUT_BYTES])
    answer.raw_output_contents.append(x.tobytes())
    data = answer.SerializeToString()
    inside = read_answer(data, "m")["y"].__array_interface__["data"][0]
    start = np.frombuffer(data, np.uint8).__array_interface__["data"][0]
    assert start < inside < start + len(data)


def test_a_stream_error_is_text_whatever_its_size() -> None:
    for text in ("no", "n" * CUT_BYTES):
        message = v2.ModelStreamInferResponse(error_message=text)
        message.infer_response.id = "7"
        assert read_stream_answer(message.SerializeToString(), "m") == text


def test_fields_behind_a_large_answer_of_a_stream_count() -> None:
    answer = v2.ModelInferResponse(raw_output_contents=[bytes(CUT_BYTES)])
    answer.outputs.add(name="y", datatype="UINT8", shape=[CUT_BYTES])
    inner = answer.SerializeToString()
    data = b"\x12" + varint(len(inner)) + inner + b"\x0a\x05error"
    assert read_stream_answer(data, "m") == "error"


def test_a_broken_length_in_a_stream_is_a_bad_answer() -> None:
    with pytest.raises(BadAnswer, match="is not a inference.ModelStreamInferResponse message"):
        read_stream_answer(b"\x12" + b"\xff" * CUT_BYTES, "m")


def test_what_is_unusual_is_not_cut() -> None:
    raw = bytes((RAW_OUTPUT, 3)) + b"abc"
    assert [bytes(each) for each in cut(raw, RAW_OUTPUT)[1]] == [b"abc"]
    for unusual in (b"\x3a\x01x" + raw, b"\x08\x01" + raw, b"\x02\x00" + raw, raw + b"\x32", raw + b"\x32\x05a"):
        assert cut(unusual, RAW_OUTPUT) == ([], [])
