"""The PEM files of TLS: read, and tried before anybody is served with them.

The standard library tries them: it loads the pair, and a handshake in memory tells what the certificate says. Nothing
here needs a parser of X.509 beside it.
"""

import hashlib
import re
import ssl
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ortolan_server.errors import InvalidConfig

__all__ = ["Certificate", "Pems", "TlsFiles", "check", "read"]

_MAX_BYTES = 4 << 20  # the roots of a whole operating system are some 200 KiB
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_PRIVATE_KEY = b"PRIVATE KEY-----"
_ENCRYPTED = b"ENCRYPTED"
# X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which has no name in Python: an expired certificate is to be told, not refused.
_NO_CHECK_TIME = 0x200000
_ROUND_TRIPS = 4  # of a handshake; three are enough


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where the PEM files are."""

    cert: Path
    key: Path
    client_ca: Path | None = None

    def __iter__(self) -> Iterator[tuple[str, Path]]:
        """Each file with its flag."""
        yield "--tls-cert", self.cert
        yield "--tls-key", self.key
        if self.client_ca:
            yield "--tls-client-ca", self.client_ca


@dataclass(frozen=True, slots=True)
class Pems:
    """What stands in the files."""

    cert: bytes
    key: bytes = field(repr=False)
    client_ca: bytes | None = None


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the server's certificate says of itself."""

    subject: str
    names: tuple[str, ...]
    """Host names and IP addresses it is for."""
    self_signed: bool
    not_before: datetime
    not_after: datetime
    fingerprint: str
    """SHA-256 of its DER form, in hexadecimal."""

    def fault_at(self, now: datetime) -> str:
        """Why clients that verify refuse it at that time; empty when they do not."""
        if now > self.not_after:
            return f"it expired on {self.not_after:%Y-%m-%d %H:%M} UTC"
        if now < self.not_before:
            return f"it is not valid before {self.not_before:%Y-%m-%d %H:%M} UTC"
        return ""


def read(files: TlsFiles) -> Pems:
    """Raises InvalidConfig that names the flag and the file which cannot be read."""
    return Pems(*(_read(flag, path) for flag, path in files))


def check(files: TlsFiles, pems: Pems) -> Certificate:
    """Tries `pems`, which were read from `files`. Raises InvalidConfig that names the flag and what is wrong.

    The standard library loads a pair from its files only: who reads them once more afterwards, and finds the same,
    knows that what was tried is what was read.
    """
    blocks = _certificates("--tls-cert", files.cert, pems.cert)
    _require_private_key(files.key, pems.key)
    if files.client_ca and pems.client_ca is not None:
        _require_authorities(files.client_ca, pems.client_ca)
    return _describe(files.cert, blocks[0], _load_pair(files))


def _read(flag: str, path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe could be read once, and would hold who waits for it
            raise InvalidConfig(f"{flag} {path}: is no regular file")
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise InvalidConfig(f"{flag} {path}: cannot be read: {error.strerror}") from error
    if len(content) > _MAX_BYTES:
        raise InvalidConfig(f"{flag} {path}: is larger than {_MAX_BYTES >> 20} MiB: no PEM file of certificates")
    return content


def _certificates(flag: str, path: Path, pem: bytes) -> list[str]:
    """The PEM blocks of a file, each of which can be parsed."""
    found = [block.decode("ascii", "replace") for block in _CERTIFICATE.findall(pem)]
    if not found:
        beside = ", but a private key" if _PRIVATE_KEY in pem else ""
        raise InvalidConfig(
            f"{flag} {path}: has no PEM certificate (from -----BEGIN CERTIFICATE----- to the line with END){beside}"
        )
    for number, block in enumerate(found, 1):
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=block)
        except (ssl.SSLError, TypeError, ValueError) as error:
            raise InvalidConfig(f"{flag} {path}: certificate {number} of {len(found)} in it is broken") from error
    return found


def _require_private_key(path: Path, pem: bytes) -> None:
    if _PRIVATE_KEY not in pem:
        beside = ", but a certificate" if _CERTIFICATE.search(pem) else ""
        raise InvalidConfig(f"--tls-key {path}: has no PEM private key (-----BEGIN PRIVATE KEY-----){beside}")
    if _ENCRYPTED in pem:
        raise InvalidConfig(
            f"--tls-key {path}: is encrypted, and nobody is asked for a pass phrase; without one: "
            f"openssl pkey -in {path} -out FILE"
        )


def _require_authorities(path: Path, pem: bytes) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for block in _certificates("--tls-client-ca", path, pem):
        context.load_verify_locations(cadata=block)
    if not context.get_ca_certs():
        raise InvalidConfig(f"--tls-client-ca {path}: has no certificate of an authority (basicConstraints CA:TRUE)")


def _load_pair(files: TlsFiles) -> ssl.SSLContext:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        server.load_cert_chain(files.cert, files.key, password="")  # without one OpenSSL would ask the terminal
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise InvalidConfig(f"--tls-key {files.key}: does not fit the certificate {files.cert}") from error
        if error.library == "SSL" and error.reason:
            raise InvalidConfig(f"--tls-cert {files.cert}: OpenSSL refuses it: {_in_words(error)}") from error
        raise InvalidConfig(f"--tls-key {files.key}: the private key in it is broken") from error
    except OSError as error:  # it was there a moment ago
        raise InvalidConfig(f"--tls-cert {files.cert}, --tls-key {files.key}: {error.strerror}") from error
    return server


def _describe(path: Path, block: str, server: ssl.SSLContext) -> Certificate:
    """By a handshake in memory with a client that trusts this very certificate, whatever its time and its name."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags = ssl.VerifyFlags(_NO_CHECK_TIME | ssl.VERIFY_X509_PARTIAL_CHAIN)
    client.load_verify_locations(cadata=block)
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    caller = client.wrap_bio(to_client, to_server)
    answerer = server.wrap_bio(to_server, to_client, server_side=True)
    try:
        for _ in range(_ROUND_TRIPS):
            _shake(caller)
            _shake(answerer)
    except ssl.SSLCertVerificationError as error:
        raise InvalidConfig(f"--tls-cert {path}: no client would take it: {error.verify_message}") from error
    except ssl.SSLError as error:
        raise InvalidConfig(f"--tls-cert {path}: OpenSSL refuses it: {_in_words(error)}") from error
    # Any: the standard library types the fields of this dictionary as a union of tuples.
    said: dict[str, Any] = dict(caller.getpeercert() or {})
    return Certificate(
        subject=_name(said.get("subject", ())),
        names=tuple(value for kind, value in said.get("subjectAltName", ()) if kind in ("DNS", "IP Address")),
        self_signed=said.get("subject") == said.get("issuer"),
        not_before=_time(said["notBefore"]),
        not_after=_time(said["notAfter"]),
        fingerprint=hashlib.sha256(caller.getpeercert(binary_form=True) or b"").hexdigest(),
    )


def _shake(end: ssl.SSLObject) -> None:
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return  # it is the other one's turn


def _name(parts: tuple[tuple[tuple[str, str], ...], ...]) -> str:
    return ", ".join(f"{key}={value}" for part in parts for key, value in part)


def _time(text: str) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(text), UTC)


def _in_words(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).replace("_", " ").lower()
