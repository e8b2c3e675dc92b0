"""From bytes to messages."""

import pytest

from ortolan.inference import inference_pb2 as pb
from ortolan_server.errors import InvalidRequest, Overloaded
from ortolan_server.transport.messages import MessageReader

MAX_BYTES = 64


@pytest.fixture
def read() -> MessageReader[pb.ModelReadyRequest]:
    return MessageReader(pb.ModelReadyRequest, MAX_BYTES)


def test_a_message_is_read(read: MessageReader[pb.ModelReadyRequest]) -> None:
    request = pb.ModelReadyRequest(name="m", version="1")
    assert read(request.SerializeToString()) == request


def test_no_bytes_are_an_empty_message(read: MessageReader[pb.ModelReadyRequest]) -> None:
    assert read(b"") == pb.ModelReadyRequest()


@pytest.mark.parametrize("data", [b"\xff", b"\x0a\x05abc", b"\x0a\x01\xff"], ids=["tag", "length", "UTF-8"])
def test_what_is_no_such_message(read: MessageReader[pb.ModelReadyRequest], data: bytes) -> None:
    with pytest.raises(InvalidRequest, match="not a inference.ModelReadyRequest message"):
        read(data)


def test_the_limit_is_the_last_size_that_is_taken(read: MessageReader[pb.ModelReadyRequest]) -> None:
    whole = pb.ModelReadyRequest(name="x" * (MAX_BYTES - 2)).SerializeToString()
    assert len(whole) == MAX_BYTES
    assert len(read(whole).name) == MAX_BYTES - 2
    with pytest.raises(Overloaded, match=f"{MAX_BYTES + 1} vs. {MAX_BYTES} bytes.*--max-message-size"):
        read(whole + b"\x00")
