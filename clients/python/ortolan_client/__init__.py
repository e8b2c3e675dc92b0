"""The Python client of Ortolan: inference over gRPC, and where each model really runs."""

from ortolan_client._client import Client
from ortolan_client._errors import (
    BadAnswer,
    Cancelled,
    DeadlineExceeded,
    InferError,
    InvalidInput,
    MessageTooLarge,
    NotAllowed,
    NotFound,
    NotSupported,
    OrtolanClientError,
    Overloaded,
    ServerError,
    Unavailable,
)
from ortolan_client._health import HealthStatus
from ortolan_client._stream import InferStream
from ortolan_client._tls import Tls

__all__ = [
    "BadAnswer",
    "Cancelled",
    "Client",
    "DeadlineExceeded",
    "HealthStatus",
    "InferError",
    "InferStream",
    "InvalidInput",
    "MessageTooLarge",
    "NotAllowed",
    "NotFound",
    "NotSupported",
    "OrtolanClientError",
    "Overloaded",
    "ServerError",
    "Tls",
    "Unavailable",
]
