"""The connection: how large a message, how a server that hangs is found out, and what is tried again."""

import json
from dataclasses import dataclass, field
from typing import Any

import grpc

from ortolan_client._addresses import Target
from ortolan_client._tls import Tls

__all__ = ["COMPRESSIONS", "MAX_MESSAGE_BYTES", "MOST_RETRIES", "ChannelPlan", "plan_channel"]

MAX_MESSAGE_BYTES = 2**31 - 1
"""The most gRPC can carry: by default the server's limit decides."""
MOST_RETRIES = 4
"""gRPC makes no more than five attempts."""
COMPRESSIONS = {
    "": grpc.Compression.NoCompression,
    "deflate": grpc.Compression.Deflate,
    "gzip": grpc.Compression.Gzip,
}

# To open a model can end a server. Sent again, such a call would end the next one, or the same when it is back.
_SENT_ONCE = (
    ("inference.GRPCInferenceService", "RepositoryModelLoad"),
    ("inference.GRPCInferenceService", "RepositoryModelUnload"),
    ("ortolan.v1.ProviderReflection", "PlanAssignment"),
)

# A server that hangs keeps its connection open: only pings find it out. The timeout is that of HTTP/2, since
# `grpc.keepalive_timeout_ms` alone did nothing when it was measured.
_KEEPALIVE = (("grpc.keepalive_time_ms", 10_000), ("grpc.http2.ping_timeout_ms", 2_000))


@dataclass(frozen=True, slots=True)
class ChannelPlan:
    """A channel that is not open yet: it connects at the first call."""

    uri: str
    options: tuple[tuple[str, Any], ...]
    compression: grpc.Compression
    credentials: grpc.ChannelCredentials | None = field(repr=False)

    def open(self) -> grpc.Channel:
        if self.credentials is None:
            return grpc.insecure_channel(self.uri, self.options, self.compression)
        return grpc.secure_channel(self.uri, self.credentials, self.options, self.compression)

    def open_async(self) -> grpc.aio.Channel:
        """For the event loop that runs now."""
        if self.credentials is None:
            return grpc.aio.insecure_channel(self.uri, self.options, self.compression)
        return grpc.aio.secure_channel(self.uri, self.credentials, self.options, self.compression)


def plan_channel(
    target: Target, *, max_message_bytes: int, retries: int, compression: str, tls: Tls | None
) -> ChannelPlan:
    """Raises ValueError for settings that cannot be, and for PEM files it cannot use.

    Over a Unix socket the server's certificate must be for `localhost`, unless `tls.server_name` says otherwise.
    """
    if not 0 <= retries <= MOST_RETRIES:
        raise ValueError(f"retries are 0 to {MOST_RETRIES}, not {retries}")
    if compression not in COMPRESSIONS:
        raise ValueError(f"compression is '', 'deflate' or 'gzip', not {compression!r}")
    options: list[tuple[str, Any]] = [
        *_KEEPALIVE,
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.max_receive_message_length", max_message_bytes),
        # Larger requests would be sent once only, without a word; 256 KiB by default.
        ("grpc.per_rpc_retry_buffer_size", max_message_bytes),
        ("grpc.service_config", json.dumps(_service_config(retries, balanced=target.balanced))),
    ]
    if target.direct:
        options.append(("grpc.enable_http_proxy", 0))
    if target.authority:
        options.append(("grpc.default_authority", target.authority))
    if tls is not None and (name := tls.server_name or _certified_name(target)):
        options.append(("grpc.ssl_target_name_override", name))
    credentials = None if tls is None else tls.credentials()
    return ChannelPlan(target.uri, tuple(options), COMPRESSIONS[compression], credentials)


def _certified_name(target: Target) -> str:
    """The host that certificates must be for, where gRPC would not take it from the address."""
    if len(target.hosts) > 1:
        raise ValueError(
            "TLS to several hosts: Tls(server_name=…) names the host that is in the certificate of each of them"
        )
    return "" if target.hosts else "localhost"


def _service_config(retries: int, *, balanced: bool) -> dict[str, object]:
    """How gRPC itself tries again and balances: github.com/grpc/grpc-proto, service_config.proto."""
    config: dict[str, object] = {}
    if retries:
        # Of the codes only UNAVAILABLE says that another attempt can do better; to try again what was refused for
        # overload makes more of it. The delays are random, up to the back-off.
        policy = {
            "maxAttempts": retries + 1,
            "initialBackoff": "0.05s",
            "backoffMultiplier": 3,
            "maxBackoff": "2s",
            "retryableStatusCodes": ["UNAVAILABLE"],
        }
        once = [{"service": service, "method": method} for service, method in _SENT_ONCE]
        config["methodConfig"] = [{"name": [{}], "retryPolicy": policy}, {"name": once}]
    if balanced:
        config["loadBalancingConfig"] = [{"round_robin": {}}]
        # Of `grpc.health.v1`: a server that is not ready, or is about to stop, gets no calls.
        config["healthCheckConfig"] = {"serviceName": ""}
    return config
