"""TLS on the client's side: what to trust, what to show, and what a handshake that failed means."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import grpc

__all__ = ["Pem", "Tls", "explain"]

Pem = str | os.PathLike[str] | bytes
"""A PEM file's path, or its content as bytes."""

_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
_PRIVATE_KEY = b"PRIVATE KEY-----"


@dataclass(frozen=True, slots=True)
class Tls:
    """Talk TLS: `Client("models.example.com:8001", tls=Tls(ca="ca.pem"))`.

    `ca` is what the server's certificate must be signed by; without it the public roots that grpcio brings (not those
    of the operating system), or the file that the environment variable GRPC_DEFAULT_SSL_ROOTS_FILE_PATH names.
    `cert` with `key` is the client's own certificate, for a server that demands one (mTLS).
    `server_name` is the host name that the server's certificate must be for, where it is not the address's own.

    Each of the three is the path of a PEM file, or its content as bytes. Files are read when a client is made.
    """

    ca: Pem | None = None
    cert: Pem | None = None
    key: Pem | None = field(default=None, repr=False)
    server_name: str = ""

    def __post_init__(self) -> None:
        if (self.cert is None) is not (self.key is None):
            given, missing = ("key", "cert") if self.cert is None else ("cert", "key")
            raise ValueError(f"TLS: {given} is given without {missing}; a client's certificate needs both")

    def credentials(self) -> grpc.ChannelCredentials:
        """Reads the files. Raises ValueError that names the one which cannot be used."""
        key = _read("key", self.key, _PRIVATE_KEY)
        if key and b"ENCRYPTED" in key:
            raise ValueError(f"TLS: key {_called(self.key)} is encrypted: gRPC takes it without a pass phrase only")
        return grpc.ssl_channel_credentials(
            root_certificates=_read("ca", self.ca, _CERTIFICATE),
            private_key=key,
            certificate_chain=_read("cert", self.cert, _CERTIFICATE),
        )


def _read(role: str, pem: Pem | None, expected: bytes) -> bytes | None:
    if pem is None:
        return None
    try:
        content = pem if isinstance(pem, bytes) else Path(pem).read_bytes()
    except OSError as error:
        raise ValueError(f"TLS: {role} {_called(pem)} cannot be read: {error.strerror}") from error
    if expected not in content:
        wanted = "private key" if expected is _PRIVATE_KEY else "certificate"
        raise ValueError(f"TLS: {role} {_called(pem)} has no {wanted} in PEM form")
    return content


def _called(pem: Pem | None) -> str:
    return "(bytes)" if pem is None or isinstance(pem, bytes) else os.fspath(pem)


_NOT_CONNECTED = re.compile("failed to connect|connections to all backends failing")
_CLOSED = re.compile("Socket closed|Connection reset|Broken pipe")
_REFUSED = re.compile(r"CERTIFICATE_VERIFY_FAILED: (.+?)(?:: OK)?$")
_SIGNED_BY_NONE = ("unable to get local issuer certificate", "self signed", "self-signed")
_MEANINGS = {
    "WRONG_VERSION_NUMBER": "the server does not speak TLS on this port",
    "Failed to create security handshaker": (
        "gRPC cannot use the TLS files: one of them is broken, or the key does not fit its certificate"
    ),
    "Handshake read failed": (
        "the server ended the TLS handshake: it shares no cipher or signature with this client "
        "(gRPC takes certificates with RSA, P-256 and P-384 keys)"
    ),
}


def explain(details: str, tls: Tls | None) -> str:
    """What gRPC says of a connection that failed, after what that means when it may be TLS."""
    if not _NOT_CONNECTED.search(details):
        return details
    meaning = _without_tls(details) if tls is None else _with_tls(details, tls)
    return f"{meaning}; gRPC says: {details}" if meaning else details


def _without_tls(details: str) -> str:
    if _CLOSED.search(details):
        return (
            "the server closed the connection before it answered: it may want TLS, which is Client(tls=…) or --tls-ca"
        )
    return ""


def _with_tls(details: str, tls: Tls) -> str:
    if refused := _REFUSED.search(details):
        return f"the server's certificate is refused: {_why(refused[1], tls)}"
    if "Hostname Verification" in details:
        name = tls.server_name or "the host in the address"
        return f"the server's certificate is refused: it is not for {name}"
    for words, meaning in _MEANINGS.items():
        if words in details:
            return meaning
    if _CLOSED.search(details):
        wanted = "it demands a client certificate" if tls.cert is None else "it refuses the client certificate given"
        return f"the server closed the connection after the TLS handshake, as one does when {wanted}"
    return ""


def _why(reason: str, tls: Tls) -> str:
    if reason.startswith(_SIGNED_BY_NONE):
        trusted = "grpcio's public roots" if tls.ca is None else f"ca {_called(tls.ca)}"
        return f"it is signed by no authority in {trusted}"
    return reason
