"""From the bytes of a ModelInferRequest to its message and the data of its tensors.

Protobuf's parser copies the data of tensors, and reading them from its message copies them again. From a size on it
costs less to look for them in the bytes, leave them there, and parse what is around them: a field that is taken out
leaves a message with the same other fields. What is valid and what it means stays protobuf's to say: whatever the
search does not expect goes to the parser as a whole.
"""

from collections.abc import Sequence
from typing import NamedTuple

from google.protobuf.message import DecodeError

from ortolan.inference.inference_pb2 import ModelInferRequest
from ortolan_server.codec.heads import Head, Heads
from ortolan_server.codec.varints import read_varint
from ortolan_server.errors import InvalidRequest

__all__ = ["CUT_BYTES", "InferRequest", "read_request", "reads_quickly"]

CUT_BYTES = 64 * 1024
"""Messages of at least this size are cut: docs/decisions/0006-codec.md has both ways around it."""

# Tags: the field's number and 2, for a length that follows, as in `number << 3 | 2`. So have all fields of the message.
_RAW = 0x3A
_TAGS = frozenset(range(0x0A, _RAW + 1, 8))
# A loop in Python over more of them would take longer than the parser.
_MOST_FIELDS = 1024
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
        rest, raw = _cut(data)
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
    rest, raw = _cut(data)
    head = b"".join(rest)
    return bool(raw) and len(head) <= _SHORT_BYTES and b"BYTES" not in head


_heads = Heads()


def _remembered(data: bytes) -> Head | None:
    rest, raw = _cut(data)
    if len(raw) != 1 or rest[-1]:
        return None  # something stands behind the tensor
    return _heads.add(data, len(data) - len(raw[0]), _parse(bytes(rest[0])))


def _parse(data: bytes) -> ModelInferRequest:
    try:
        return ModelInferRequest.FromString(data)
    except DecodeError as error:
        raise InvalidRequest(f"the request is not a {ModelInferRequest.DESCRIPTOR.full_name} message") from error


def _cut(data: bytes) -> tuple[list[memoryview], list[memoryview]]:
    """What is around the tensors, and the tensors; none, when there are none or something is unusual."""
    view = memoryview(data)
    rest: list[memoryview] = []
    raw: list[memoryview] = []
    at = rest_from = 0
    for _ in range(_MOST_FIELDS):
        if at == len(data):
            rest.append(view[rest_from:])
            return rest, raw
        tag = data[at]
        if tag not in _TAGS:
            break
        try:
            size, start = read_varint(data, at + 1)
        except ValueError:
            break
        end = start + size
        if end > len(data):
            break
        if tag == _RAW:
            rest.append(view[rest_from:at])
            raw.append(view[start:end])
            rest_from = end
        at = end
    return [], []
