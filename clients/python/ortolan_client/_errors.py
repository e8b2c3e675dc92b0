"""Errors of the client: one class for each thing a caller can do about it.

    OrtolanClientError
    ├── InvalidInput           what was sent does not fit the model, or cannot be carried at all
    ├── NotFound               no such model, version or service
    ├── Unavailable            no server there, no TLS connection to it, or a known model that does not serve now: the
    │                          text says which
    ├── Overloaded             the server refuses more work: try again later
    │   └── MessageTooLarge    over a size limit: trying again does not help
    ├── DeadlineExceeded       no answer within `timeout_s`
    ├── Cancelled              the call was cancelled, here or there
    ├── NotAllowed             switched off by the operator, or not permitted to this caller: without a token, too
    ├── NotSupported           the server does not know this call
    ├── ServerError            it failed on the server's side
    ├── BadAnswer              the answer breaks the protocol
    └── InferError             one item of a stream failed; the stream goes on

Each has `code` (gRPC's name, e.g. "NOT_FOUND"), `message` (the server's words where it had any) and `model`
(empty where no model was named).
"""

import grpc

from ortolan_client._tls import Tls, explain

__all__ = [
    "BadAnswer",
    "Cancelled",
    "DeadlineExceeded",
    "InferError",
    "InvalidInput",
    "MessageTooLarge",
    "NotAllowed",
    "NotFound",
    "NotSupported",
    "OrtolanClientError",
    "Overloaded",
    "ServerError",
    "Unavailable",
    "from_rpc_error",
]


class OrtolanClientError(Exception):
    """The base of all errors of this package."""

    def __init__(self, message: str, *, code: str, model: str = "") -> None:
        super().__init__(f"{code}: {message}")
        self.message = message
        self.code = code
        self.model = model


class InvalidInput(OrtolanClientError):
    """What was sent does not fit the model, or cannot be carried over the protocol at all."""


class NotFound(OrtolanClientError):
    """No such model, version or service."""


class Unavailable(OrtolanClientError):
    """No server there, no TLS connection to it, or a known model that does not serve now: the text says which."""


class Overloaded(OrtolanClientError):
    """The server refuses more work: try again later."""


class MessageTooLarge(Overloaded):
    """A message is over the server's limit or the client's: the text names the setting."""


class DeadlineExceeded(OrtolanClientError):
    """No answer within `timeout_s`."""


class Cancelled(OrtolanClientError):
    """The call was cancelled, here or by the server."""


class NotAllowed(OrtolanClientError):
    """Switched off by the operator, or not permitted to this caller."""


class NotSupported(OrtolanClientError):
    """The server does not know this call."""


class ServerError(OrtolanClientError):
    """It failed on the server's side."""


class BadAnswer(OrtolanClientError):
    """The answer breaks the protocol, e.g. its bytes do not fill the shape it names."""


class InferError(OrtolanClientError):
    """One item of a stream failed; the stream goes on.

    Errors inside a stream come as text alone, so `code` is always "UNKNOWN". `index` is the item's place in the
    stream, from 0.
    """

    def __init__(self, message: str, *, index: int, model: str = "") -> None:
        super().__init__(message, code="UNKNOWN", model=model)
        self.index = index


_CLASSES: dict[grpc.StatusCode, type[OrtolanClientError]] = {
    grpc.StatusCode.CANCELLED: Cancelled,
    grpc.StatusCode.INVALID_ARGUMENT: InvalidInput,
    grpc.StatusCode.OUT_OF_RANGE: InvalidInput,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.PERMISSION_DENIED: NotAllowed,
    grpc.StatusCode.UNAUTHENTICATED: NotAllowed,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Overloaded,
    grpc.StatusCode.UNIMPLEMENTED: NotSupported,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
}

# In gRPC's words and in our server's.
_TOO_LARGE = "larger than max"
_SERVER_FLAG = "--max-message-size"


def from_rpc_error(error: grpc.RpcError, model: str, tls: Tls | None = None) -> OrtolanClientError:
    """The counterpart of an error of gRPC; codes without a class of their own become `ServerError`.

    `tls` is that of the channel: what a failed connection means depends on it.
    """
    code, message = error.code(), error.details() or ""
    if code is grpc.StatusCode.UNAVAILABLE:
        message = explain(message, tls)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE in message:
        return MessageTooLarge(_with_limit(message), code=code.name, model=model)
    return _CLASSES.get(code, ServerError)(message, code=code.name, model=model)


def _with_limit(message: str) -> str:
    """Adds which setting to raise, where the text does not say it."""
    if "CLIENT:" in message:
        return f"{message}; raise Client(max_message_bytes=…)"
    if _SERVER_FLAG in message:
        return message
    return f"{message}; raise the server's limit: ortolan serve {_SERVER_FLAG}"
