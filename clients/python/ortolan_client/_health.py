"""`grpc.health.v1`, without its package: that is no part of the base install.

On the wire HealthCheckRequest is one string in field 1 and HealthCheckResponse one enum in field 1, which is what
protobuf's own StringValue and Int32Value are.
"""

from enum import Enum

import grpc
from google.protobuf.wrappers_pb2 import Int32Value, StringValue

from ortolan_client._token import Metadata

__all__ = ["HealthStatus", "health_check"]


class HealthStatus(Enum):
    """What `grpc.health.v1.Health/Check` answers."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3


def health_check(
    channel: grpc.Channel, service: str, timeout_s: float, metadata: Metadata | None = None
) -> HealthStatus:
    """Raises grpc.RpcError, NOT_FOUND for a service that the server does not know."""
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=StringValue.SerializeToString,
        response_deserializer=Int32Value.FromString,
    )
    return HealthStatus(check(StringValue(value=service), timeout=timeout_s, metadata=metadata).value)
