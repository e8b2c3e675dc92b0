"""Every datatype goes out as the protocol wants it and comes back as it was."""

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray
from tritonclient.utils import serialize_byte_tensor

from ortolan.inference import inference_pb2 as v2
from ortolan_client import BadAnswer, Client, InvalidInput
from ortolan_client._messages import read_answer
from tests.clients.canned import CannedServer

NUMERIC = {
    "BOOL": np.array([[True, False], [False, True]]),
    "UINT8": np.array([0, 255], np.uint8),
    "UINT16": np.array([0, 65535], np.uint16),
    "UINT32": np.array([0, 2**32 - 1], np.uint32),
    "UINT64": np.array([0, 2**64 - 1], np.uint64),
    "INT8": np.array([-128, 127], np.int8),
    "INT16": np.array([-(2**15), 2**15 - 1], np.int16),
    "INT32": np.array([-(2**31), 2**31 - 1], np.int32),
    "INT64": np.array([-(2**63), 2**63 - 1], np.int64),
    "FP16": np.array([-1.5, np.inf], np.float16),
    "FP32": np.array([-1.5, np.nan], np.float32),
    "FP64": np.array([1e300, -0.0], np.float64),
}


@pytest.mark.parametrize("datatype", NUMERIC)
def test_a_numeric_type_round_trips(client: Client, canned: CannedServer, datatype: str) -> None:
    array = NUMERIC[datatype]
    answer = client.infer("echo", {"y": array})["y"]
    np.testing.assert_array_equal(answer, array)
    assert answer.dtype == array.dtype
    sent = canned.requests[-1]
    assert (sent.inputs[0].datatype, list(sent.inputs[0].shape)) == (datatype, list(array.shape))
    assert sent.raw_input_contents[0] == array.tobytes()
    assert not sent.inputs[0].HasField("contents")


@pytest.mark.parametrize(
    "array",
    [
        np.array(7, np.int64),
        np.zeros((0, 4), np.float32),
        np.arange(6, dtype=np.int32).reshape(2, 3).T,
        np.arange(8, dtype=np.float32)[::2],
        np.array([1, 258], ">i2"),
        np.array([1, 2], np.longlong),
    ],
    ids=["scalar", "empty", "transposed", "strided", "big-endian", "longlong"],
)
def test_layout_and_byte_order_do_not_matter(client: Client, array: NDArray[np.generic]) -> None:
    answer = client.infer("echo", {"y": array})["y"]
    np.testing.assert_array_equal(answer, array)
    assert answer.shape == array.shape
    assert answer.dtype == array.dtype.newbyteorder("<")


def test_bf16_goes_in_as_ml_dtypes(client: Client, canned: CannedServer) -> None:
    array = np.array([[1.5, -2.0], [3.25, 0.0]], ml_dtypes.bfloat16)
    answer = client.infer("echo", {"y": array.T})["y"]
    np.testing.assert_array_equal(answer.view(ml_dtypes.bfloat16), array.T)
    sent = canned.requests[-1]
    assert sent.inputs[0].datatype == "BF16"
    upper_halves = np.ascontiguousarray(array.T).astype("<f4").view("<u4") >> 16
    assert sent.raw_input_contents[0] == upper_halves.astype("<u2").tobytes()


def test_uint16_is_bf16_where_the_model_says_so(client: Client, canned: CannedServer) -> None:
    bits = np.array([0x3F80, 0xC000], np.uint16)
    for _ in range(2):
        answer = client.infer("echo", {"x": bits, "count": bits})
        np.testing.assert_array_equal(answer["x"].view(ml_dtypes.bfloat16), [1.0, -2.0])
        assert [tensor.datatype for tensor in canned.requests[-1].inputs] == ["BF16", "UINT16"]
    asked = [request for request in canned.requests if isinstance(request, v2.ModelMetadataRequest)]
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("array", "elements"),
    [
        (np.array(["Zeit", "größe", ""]), [b"Zeit", "größe".encode(), b""]),
        (np.array([b"ab", b"\xff\x01"]), [b"ab", b"\xff\x01"]),
        (np.array(["text", b"\x00\xff\x00"], np.object_), [b"text", b"\x00\xff\x00"]),
        (np.array([], np.object_), []),
    ],
    ids=["str", "bytes", "object", "empty"],
)
def test_bytes_round_trip(
    client: Client, canned: CannedServer, array: NDArray[np.generic], elements: list[bytes]
) -> None:
    answer = client.infer("echo", {"y": array})["y"]
    assert answer.tolist() == elements
    sent = canned.requests[-1]
    assert sent.inputs[0].datatype == "BYTES"
    peer = serialize_byte_tensor(np.array(elements, np.object_))
    assert sent.raw_input_contents[0] == (peer.item() if peer.size else b"")


def test_text_keeps_its_shape(client: Client) -> None:
    answer = client.infer("echo", {"y": np.array([["a"], ["bc"]])})["y"]
    assert answer.tolist() == [[b"a"], [b"bc"]]


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.array([1j]), r"input 'y': numpy type complex128 has no counterpart"),
        (np.array(["2020-01-01"], "datetime64[D]"), r"input 'y': numpy type datetime64\[D\]"),
        (np.array([3.5, "a"], np.object_), r"input 'y': elements are str or bytes, not float"),
    ],
    ids=["complex", "datetime", "object"],
)
def test_what_the_protocol_cannot_carry_is_refused_before_sending(
    client: Client, canned: CannedServer, array: NDArray[np.generic], text: str
) -> None:
    with pytest.raises(InvalidInput, match=text) as caught:
        client.infer("echo", {"y": array})
    assert (caught.value.code, caught.value.model) == ("INVALID_ARGUMENT", "echo")
    assert canned.requests == []


@pytest.mark.parametrize(
    ("datatype", "shape", "raw", "text"),
    [
        ("FP32", [2], b"1234", r"output 'y': FP32 \[2\] takes 8 bytes, 4 came"),
        ("FP32", [-1], b"1234", r"takes -4 bytes"),
        ("FP33", [1], b"1234", r"'FP33' is no datatype of the protocol"),
        ("BYTES", [2**62], b"\0\0\0\0", r"takes 4611686018427387904 elements, 4 bytes came"),
        ("BYTES", [2], b"\x04\0\0\0abcd", r"takes 2 elements, 1 came"),
        ("BYTES", [1], b"\x09\0\0\0abcd", r"element 0 of BYTES \[1\] is cut off"),
        ("BYTES", [1], b"\x01\0\0\0abcd", r"3 bytes came after the last element"),
        ("BYTES", [-1], b"", r"output 'y'"),
    ],
)
def test_an_answer_that_breaks_the_protocol_is_an_error(datatype: str, shape: list[int], raw: bytes, text: str) -> None:
    response = v2.ModelInferResponse(raw_output_contents=[raw])
    response.outputs.add(name="y", datatype=datatype, shape=shape)
    with pytest.raises(BadAnswer, match=text):
        read_answer(response.SerializeToString(), "echo")


def test_an_answer_without_raw_contents_is_an_error() -> None:
    response = v2.ModelInferResponse()
    response.outputs.add(name="y", datatype="FP32", shape=[1]).contents.fp32_contents.append(1)
    with pytest.raises(BadAnswer, match="1 outputs came with 0 raw contents"):
        read_answer(response.SerializeToString(), "echo")
