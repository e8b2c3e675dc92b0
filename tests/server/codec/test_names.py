"""Whom a request is for, without reading all of it."""

from hypothesis import given
from hypothesis import strategies as st

from ortolan.inference.inference_pb2 import ModelInferRequest
from ortolan_server.codec import read_names


@given(
    model=st.text(max_size=50), version=st.text(max_size=5), request_id=st.text(max_size=50), size=st.integers(0, 99)
)
def test_names_are_those_of_the_message(model: str, version: str, request_id: str, size: int) -> None:
    request = ModelInferRequest(model_name=model, model_version=version, id=request_id)
    request.parameters["priority"].int64_param = 1
    request.raw_input_contents.append(bytes(size))
    assert read_names(request.SerializeToString()) == (model, request_id)


@given(data=st.binary(max_size=100))
def test_any_bytes_are_taken(data: bytes) -> None:
    read_names(data)


def test_what_stands_elsewhere_is_left_out() -> None:
    late = ModelInferRequest(raw_input_contents=[b"x"]).SerializeToString()
    assert read_names(late + ModelInferRequest(model_name="m").SerializeToString()) == ("", "")
    assert read_names(b"") == ("", "")


def test_a_million_names_are_not_read() -> None:
    """The last one counts, for protobuf: for a log the first few do."""
    assert read_names(b"\x0a\x01a" * 5 + b"\x0a\x01z" * 1_000_000) == ("a", "")


def test_a_name_without_end_is_cut() -> None:
    model, request_id = read_names(ModelInferRequest(model_name="m" * 10_000, id="i").SerializeToString())
    assert (len(model), request_id) == (256, "i")
