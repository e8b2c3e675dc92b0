"""From the bytes of a call to a message, with errors a caller can act on."""

from typing import Generic, TypeVar

from google.protobuf.message import DecodeError, Message

from ortolan_server.codec import InferRequest, read_request
from ortolan_server.errors import InvalidRequest, Overloaded

__all__ = ["InferRequestReader", "MessageReader"]


M = TypeVar("M", bound=Message)


class MessageReader(Generic[M]):
    """Parses requests of one type, up to a size.

    gRPC's own parsing answers INTERNAL for garbage, and its size limit cannot say which setting is meant.
    """

    def __init__(self, kind: type[M], max_bytes: int) -> None:
        self._kind = kind
        self._max_bytes = max_bytes

    def __call__(self, data: bytes) -> M:
        """Raises InvalidRequest for what is no such message, Overloaded for one that is too large."""
        if len(data) > self._max_bytes:
            raise _too_large(len(data), self._max_bytes)
        try:
            return self._kind.FromString(data)
        except DecodeError as error:
            raise InvalidRequest(f"the request is not a {self._kind.DESCRIPTOR.full_name} message") from error


class InferRequestReader:
    """The same for ModelInferRequest, whose tensors are left where they are."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes

    def __call__(self, data: bytes) -> InferRequest:
        if len(data) > self._max_bytes:
            raise _too_large(len(data), self._max_bytes)
        return read_request(data)


def _too_large(size: int, max_bytes: int) -> Overloaded:
    return Overloaded(
        f"the message is larger than max: {size} vs. {max_bytes} bytes; "
        "the server's limit is set by ortolan serve --max-message-size"
    )
