"""Requests that say the same again, held against protobuf's own reading of them."""

from hypothesis import given
from hypothesis import strategies as st

from ortolan.inference.inference_pb2 import ModelInferRequest
from ortolan_server.codec import read_request
from ortolan_server.codec.heads import Heads
from tests.server.codec.test_requests import THOROUGH, check_once


def request(tensor: bytes, *, model: str = "m", request_id: str = "", shape: tuple[int, ...] = (1, 3)) -> bytes:
    message = ModelInferRequest(model_name=model, id=request_id)
    message.inputs.add(name="x", datatype="UINT8", shape=shape)
    message.raw_input_contents.append(tensor)
    return message.SerializeToString()


def test_the_same_head_is_the_same_message() -> None:
    first, second = read_request(request(b"abc")), read_request(request(b"xyz"))
    assert first.head is not None
    assert second.head is first.head
    assert second.message is first.head.message
    assert [bytes(entry) for entry in second.raw] == [b"xyz"]


def test_no_data_of_a_caller_is_kept() -> None:
    first = read_request(request(b"secret", model="keeps nothing", shape=(6,)))
    assert first.head is not None
    assert b"secret" not in first.head.message.SerializeToString()


def test_another_head_is_another() -> None:
    heads = {
        id(read_request(request(b"abc", model=model, shape=shape)).head) for model in "mn" for shape in [(3,), (1, 3)]
    }
    assert len(heads) == 4


def test_requests_with_ids_are_not_remembered() -> None:
    assert read_request(request(b"abc", request_id="1")).head is None


def test_a_field_behind_the_tensor_is_read() -> None:
    """It is part of no head: two requests that differ in it are two."""
    for _ in range(2):
        for version in (b"1", b"2"):
            data = request(b"abc") + b"\x12\x01" + version
            assert read_request(data).message.model_version == version.decode()
            assert read_request(data).head is None


def test_a_field_that_ends_like_a_tensor_is_none() -> None:
    """The last bytes of a parameter look like a tensor's field, and the tensor is another."""
    message = ModelInferRequest.FromString(request(b"abc"))
    message.parameters["p"].string_param = "\x3a\x03xyz"
    tensor_first = request(b"abc") + message.SerializeToString()[: -len(b"\x3a\x03abc")][len(request(b"")) - 2 :]
    for data in (message.SerializeToString(), tensor_first):
        check_once(data)
        check_once(data)


@THOROUGH
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["m", "mm"]),
            st.sampled_from([(3,), (1, 3), (4,)]),
            st.binary(max_size=5),
            st.sampled_from([b"", b"", b"\x12\x011", b"\x3a\x01z", b"\x48\x01"]),
            st.integers(0, 3),
        ),
        max_size=20,
    )
)
def test_any_row_of_requests_reads_as_protobuf_reads_it(
    requests: list[tuple[str, tuple[int, ...], bytes, bytes, int]],
) -> None:
    for model, shape, tensor, behind, cut_off in requests:
        data = request(tensor, model=model, shape=shape) + behind
        check_once(data[: len(data) - cut_off])


def test_heads_are_bounded() -> None:
    heads = Heads()
    message = ModelInferRequest()
    for number in range(3000):
        head = number.to_bytes(4, "big") * 3
        heads.add(head + b"tensor", len(head), message)
    found = sum(heads.find(number.to_bytes(4, "big") * 3 + b"tensor") is not None for number in range(3000))
    assert 0 < found <= 1024
    assert heads.find((2999).to_bytes(4, "big") * 3 + b"TENSOR") is not None
    assert heads.find((2999).to_bytes(4, "big") * 3 + b"tensors") is None


def test_long_heads_are_not_kept() -> None:
    heads = Heads()
    heads.add(bytes(5000), 4990, ModelInferRequest())
    assert heads.find(bytes(5000)) is None
