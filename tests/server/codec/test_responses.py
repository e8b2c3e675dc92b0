"""Responses written by hand, held against protobuf's own reading of them."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ortolan.inference.inference_pb2 import ModelInferResponse, ModelStreamInferResponse
from ortolan.wire import CUT_BYTES
from ortolan_server.codec import responses, stream_answer, stream_error, write_response
from ortolan_server.errors import Overloaded
from ortolan_server.tensors import DATATYPES, Array, OutputHeader, encode_raw

THOROUGH = settings(max_examples=300)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
# Each keeps the values and changes how they lie in memory, or what is said of it.
LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "plain": lambda array: array,
    "columns first": np.asfortranarray,
    "every second": lambda array: np.repeat(array, 2, axis=-1)[..., ::2] if array.ndim else array,
    "backwards": lambda array: np.ascontiguousarray(array[::-1])[::-1] if array.ndim else array,
    "one row for all": lambda array: np.broadcast_to(array, (3, *array.shape)),
    "rows of a batch": lambda array: np.concatenate([array, array])[len(array) :] if array.ndim else array,
    "read only": lambda array: np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape),
    "other byte order": lambda array: array.astype(array.dtype.newbyteorder(">")),
}


@st.composite
def tensors(draw: st.DrawFn) -> tuple[OutputHeader, Array]:
    datatype = draw(st.sampled_from(tuple(DATATYPES.values())))
    header = OutputHeader(draw(TEXTS), datatype.name)
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    array: Array
    if datatype.name == "BYTES":
        array = np.empty(math.prod(shape), object)
        array[:] = draw(st.lists(TEXTS, min_size=array.size, max_size=array.size))
        layouts = sorted(LAYOUTS.keys() - {"read only", "other byte order"})
        return header, LAYOUTS[draw(st.sampled_from(layouts))](array.reshape(shape))
    array = draw(hnp.arrays(datatype.dtype, shape))
    return header, LAYOUTS[draw(st.sampled_from(sorted(LAYOUTS)))](array)


def by_protobuf(model: str, version: str, request_id: str, outputs: list[tuple[OutputHeader, Array]]) -> bytes:
    message = ModelInferResponse(model_name=model, model_version=version, id=request_id)
    for (name, datatype), array in outputs:
        message.outputs.add(name=name, datatype=datatype, shape=array.shape)
        if datatype != "BYTES":
            array = np.array(array.tolist(), DATATYPES[datatype].dtype)  # noqa: PLW2901
        message.raw_output_contents.append(encode_raw(array))
    return message.SerializeToString(deterministic=True)


@THOROUGH
@given(TEXTS, TEXTS, st.text(st.characters(exclude_categories=["Cs"]), max_size=200), st.lists(tensors(), max_size=3))
def test_responses_read_as_protobuf_would_have_written_them(
    model: str, version: str, request_id: str, outputs: list[tuple[OutputHeader, Array]]
) -> None:
    data = write_response(
        model, version, request_id, tuple(header for header, _ in outputs), [array for _, array in outputs]
    )
    message = ModelInferResponse.FromString(data)
    assert message.SerializeToString(deterministic=True) == by_protobuf(model, version, request_id, outputs)


def answer(request_id: str, *arrays: Array) -> bytes:
    headers = tuple(OutputHeader(f"y{index}", "FP32") for index in range(len(arrays)))
    return write_response("m", "1", request_id, headers, arrays)


def test_same_shape_in_other_memory_is_another_head() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    expected = answer("", array)
    assert answer("", array.astype(">f4")) == answer("", np.asfortranarray(array)) == expected


def test_heads_are_shared_by_requests_and_do_not_grow_for_ever() -> None:
    responses._head.cache_clear()
    for request_id in range(100):
        answer(str(request_id), np.zeros((1, 3), np.float32))
    assert responses._head.cache_info().currsize == 1
    for size in range(5000):
        answer("", np.zeros(size, np.float32))
    assert responses._head.cache_info().currsize < 5000


@pytest.mark.parametrize("count", [1, 2])
def test_more_than_a_message_carries_is_refused_before_it_is_copied(count: int) -> None:
    huge = np.broadcast_to(np.float32(0), (2**29 // count,))
    text = "^the outputs have 2147483648 bytes together, and a gRPC message carries at most 2146435072: ask for fewer"
    with pytest.raises(Overloaded, match=text):
        answer("", *[huge] * count)


@pytest.mark.parametrize("request_id", ["", *("x" * length for length in range(1, 10))])
def test_the_largest_tensor_of_a_large_response_is_aligned(request_id: str) -> None:
    small, large = np.ones(3, np.float32), np.arange(CUT_BYTES, dtype=np.float32)
    for arrays in ([large], [small, large], [large, small]):
        data = answer(request_id, *arrays)
        assert data.index(large.tobytes()) % 8 == 0
        assert ModelInferResponse.FromString(data).id == request_id


def test_texts_count_with_their_bytes() -> None:
    most = 2**31 - 2**20
    headers = (OutputHeader("texts", "BYTES"), OutputHeader("numbers", "INT8"))
    arrays = [np.asarray(["abc"], object), np.broadcast_to(np.int8(0), (most,))]
    with pytest.raises(Overloaded, match=f"the outputs have {most + 7} bytes together"):
        write_response("m", "1", "", headers, arrays)


def test_answer_of_a_stream_is_final() -> None:
    response = ModelInferResponse(model_name="simple", id="7", raw_output_contents=[b"abc"])
    message = ModelStreamInferResponse.FromString(stream_answer(response.SerializeToString()))
    assert message.error_message == ""
    assert message.infer_response.parameters["triton_final_response"].bool_param is True
    assert (message.infer_response.id, list(message.infer_response.raw_output_contents)) == ("7", [b"abc"])


@pytest.mark.parametrize("text", ["axis 7", "é"])
def test_error_of_a_stream_names_its_request(text: str) -> None:
    message = ModelStreamInferResponse.FromString(stream_error("7", text))
    assert message.error_message == text
    assert message.infer_response == ModelInferResponse(id="7")
