"""What is said at start by a server that others can reach, and what would protect it."""

import structlog

from ortolan_server.settings import Settings

__all__ = ["warn_of_exposure"]

log = structlog.get_logger()

# What protects a server that others can reach, by `Settings.tls`.
_MISSING = {
    "off": "anyone who reaches this address can use the models and read what others send: there is no TLS "
    "(--tls-cert and --tls-key encrypt; --tls-client-ca lets in only clients with a certificate, --auth-tokens only "
    "those with a token)",
    "tls": "anyone who reaches this address can use the models: what is sent is encrypted, but clients need no "
    "certificate (--tls-client-ca lets in only clients that have one, --auth-tokens only those with a token)",
    "mtls": "",
}
_TOKENS_IN_PLAIN_TEXT = (
    "anyone between can read what is sent, tokens too, and use them: there is no TLS (--tls-cert and --tls-key encrypt)"
)
_PLAIN_HTTP = (
    "anyone who reaches this address can read the metrics, names of models among them: it is HTTP without TLS or "
    "authentication (--http-address 127.0.0.1:8002 keeps it on this machine)"
)
_SHARING = (
    "whoever may call this server can read and overwrite the shared memory objects of its user on this machine, "
    "given their names: with --shared-memory listen on a unix: address or on loopback"
)


def warn_of_exposure(settings: Settings, address: str, http_address: str) -> None:
    """Of a server that listens at these; nothing is said of one that only its own machine can reach."""
    missing = _missing(settings)
    if missing and not settings.is_loopback:
        log.warning("listening_beyond_loopback", address=address, text=missing)
    if not settings.is_http_loopback:
        log.warning("listening_beyond_loopback", address=http_address, text=_PLAIN_HTTP)
    if settings.shared_memory and not settings.is_loopback:
        log.warning("sharing_memory_beyond_loopback", address=address, text=_SHARING)


def _missing(settings: Settings) -> str:
    """What would protect a server that others can reach; empty: nothing is missing."""
    if settings.auth_tokens:
        return _TOKENS_IN_PLAIN_TEXT if settings.tls == "off" else ""
    return _MISSING[settings.tls]
