"""The connection: where to, how large a message, and how a server that hangs is found out."""

import grpc

from ortolan_client._tls import Tls

__all__ = ["MAX_MESSAGE_BYTES", "open_channel"]

MAX_MESSAGE_BYTES = 2**31 - 1
"""The most gRPC can carry: by default the server's limit decides."""

# A server that hangs keeps its connection open: only pings find it out. The timeout is that of HTTP/2, since
# `grpc.keepalive_timeout_ms` alone did nothing when it was measured.
_KEEPALIVE = (("grpc.keepalive_time_ms", 10_000), ("grpc.http2.ping_timeout_ms", 2_000))

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_MAX_PORT = 65535


def open_channel(address: str, *, max_message_bytes: int, tls: Tls | None = None) -> grpc.Channel:
    """Connects at the first call, not now. Raises ValueError for what is no address, and for PEM files it cannot use.

    Over a Unix socket the server's certificate must be for `localhost`, unless `tls.server_name` says otherwise.
    """
    host = ""
    if not address.startswith("unix:"):
        host, _, port = address.rpartition(":")
        if not host or "://" in address or not port.isdecimal() or int(port) > _MAX_PORT:
            raise ValueError(f"an address is HOST:PORT (port at most {_MAX_PORT}) or unix:PATH, not {address!r}")
    options: list[tuple[str, str | int]] = [
        *_KEEPALIVE,
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.max_receive_message_length", max_message_bytes),
    ]
    if host in _LOOPBACK:
        options.append(("grpc.enable_http_proxy", 0))  # gRPC would send even these through `http_proxy`
    if tls is None:
        return grpc.insecure_channel(address, options=options)
    if name := tls.server_name or ("localhost" if address.startswith("unix:") else ""):
        options.append(("grpc.ssl_target_name_override", name))
    return grpc.secure_channel(address, tls.credentials(), options=options)
