"""From the bytes of a ModelInferRequest to its message and the data of its tensors.

Large ones are cut, see `ortolan.wire`; small ones mostly repeat what was parsed before.
"""

from collections.abc import Sequence
from typing import NamedTuple

from google.protobuf.message import DecodeError

from ortolan.inference.inference_pb2 import ModelInferRequest
from ortolan.wire import CUT_BYTES, RAW_INPUT, cut
from ortolan_server.codec.heads import Head, Heads
from ortolan_server.errors import InvalidRequest

__all__ = ["CUT_BYTES", "InferRequest", "read_request", "reads_quickly"]

_SHORT_BYTES = 4096


class InferRequest(NamedTuple):
    """A request as it came."""

    message: ModelInferRequest
    """Whether its `raw_input_contents` are filled is the codec's business: `raw` has them."""
    raw: Sequence[bytes | memoryview]
    """The entries of `raw_input_contents`. Views hold the whole message."""
    head: Head | None = None
    """Other requests have the same one, and so the same message; None: its message is its own."""


def read_request(data: bytes) -> InferRequest:
    """Raises InvalidRequest for what is no such message."""
    if len(data) >= CUT_BYTES:
        rest, raw = cut(data, RAW_INPUT)
        if raw:
            return InferRequest(_parse(b"".join(rest)), raw)
    head = _heads.find(data)
    if head is not None:
        return InferRequest(head.message, (data[head.start :],), head)
    message = _parse(data)
    entries = message.raw_input_contents[:]
    # Of requests with ids of their own hardly two are alike.
    head = _remembered(data) if len(entries) == 1 and not message.id else None
    return InferRequest(message, entries, head)


def reads_quickly(data: bytes) -> bool:
    """Whether reading a large message takes next to no time: tensors are taken out as they are, and little is left."""
    rest, raw = cut(data, RAW_INPUT)
    head = b"".join(rest)
    return bool(raw) and len(head) <= _SHORT_BYTES and b"BYTES" not in head


_heads = Heads()


def _remembered(data: bytes) -> Head | None:
    rest, raw = cut(data, RAW_INPUT)
    if len(raw) != 1 or rest[-1]:
        return None  # something stands behind the tensor
    return _heads.add(data, len(data) - len(raw[0]), _parse(bytes(rest[0])))


def _parse(data: bytes) -> ModelInferRequest:
    try:
        return ModelInferRequest.FromString(data)
    except DecodeError as error:
        raise InvalidRequest(f"the request is not a {ModelInferRequest.DESCRIPTOR.full_name} message") from error
