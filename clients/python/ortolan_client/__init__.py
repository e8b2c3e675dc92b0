"""The Python client of Ortolan: inference over gRPC, and where each model really runs."""

from ortolan_client._async_client import AsyncClient
from ortolan_client._bulk.bulk import Bulk, BulkOptions, BulkProgress, BulkRow
from ortolan_client._bulk.run import BulkChunk
from ortolan_client._calls import HealthStatus
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
from ortolan_client._model import AsyncModel, Model
from ortolan_client._shared_memory import AsyncSharedMemory, SharedMemory
from ortolan_client._signature import TensorSpec
from ortolan_client._stream import AsyncInferStream, InferStream
from ortolan_client._tls import Tls

__all__ = [
    "AsyncClient",
    "AsyncInferStream",
    "AsyncModel",
    "AsyncSharedMemory",
    "BadAnswer",
    "Bulk",
    "BulkChunk",
    "BulkOptions",
    "BulkProgress",
    "BulkRow",
    "Cancelled",
    "Client",
    "DeadlineExceeded",
    "HealthStatus",
    "InferError",
    "InferStream",
    "InvalidInput",
    "MessageTooLarge",
    "Model",
    "NotAllowed",
    "NotFound",
    "NotSupported",
    "OrtolanClientError",
    "Overloaded",
    "ServerError",
    "SharedMemory",
    "TensorSpec",
    "Tls",
    "Unavailable",
]
