"""TLS for the server: which certificate a connection gets, and new ones without a restart."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime

import grpc
import structlog

from ortolan_server.errors import InvalidConfig
from ortolan_server.transport.certificates import Certificate, Pems, TlsFiles, check, read
from ortolan_server.transport.marks import FileMarks

__all__ = ["ServerCertificates"]

log = structlog.get_logger()


def _now() -> datetime:
    return datetime.now(UTC)


class ServerCertificates:
    """The certificate that new connections get, and the authority that clients' certificates must come from.

    Each new connection looks at the files (three calls of `stat`) and reads them when they have changed. What cannot
    be used leaves the last good ones in place. Connections that are open keep what they were opened with.
    """

    def __init__(self, files: TlsFiles, now: Callable[[], datetime] = _now) -> None:
        self._files = files
        self._now = now
        self._lock = threading.Lock()
        self._certificate: Certificate | None = None
        self._marks = FileMarks(path for _, path in files)
        self._seen: Pems | str = ""
        self._told = ""

    @property
    def certificate(self) -> Certificate:
        """What new connections get, from `credentials` on."""
        if self._certificate is None:
            raise RuntimeError("no certificate is loaded yet")
        return self._certificate

    def credentials(self) -> grpc.ServerCredentials:
        """Reads the files. Raises InvalidConfig that names the flag and the file that cannot be used."""
        with self._lock:
            self._look()
            pems = read(self._files)
            certificate = check(self._files, pems)
            if read(self._files) != pems:
                raise InvalidConfig(f"--tls-cert {self._files.cert}: the files of TLS changed while they were read")
            self._take(pems, certificate, "certificate_loaded")
            self._tell_when_out_of_date()
        return grpc.dynamic_ssl_server_credentials(
            _configuration(pems),
            self.fetch,  # type: ignore[arg-type] # None is allowed by gRPC, its stubs do not say so
            require_client_authentication=self._files.client_ca is not None,
        )

    def fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """What new connections get from now on, or None: what they got until now. gRPC asks before each handshake."""
        with self._lock:
            pems = self._reload() if self._look() else None
            self._tell_when_out_of_date()
        return _configuration(pems) if pems else None

    def _reload(self) -> Pems | None:
        """The files' new content, if it is new and can be used."""
        found = self._read()
        if isinstance(found, str):
            self._marks.distrust()  # what cannot be read may be readable the next time, without a trace in its marks
        if found == self._seen:
            return None
        result = found if isinstance(found, str) else self._check(found)
        if self._read() != found:
            self._marks.distrust()  # they are being written: the next connection looks again
            return None
        self._seen = found
        if isinstance(found, str) or isinstance(result, str):
            log.error("certificate_reload_failed", reason=result, text="connections get the last good certificate")
            return None
        self._take(found, result, "certificate_reloaded")
        return found

    def _read(self) -> Pems | str:
        """What the files say, or why they cannot be read."""
        try:
            return read(self._files)
        except InvalidConfig as error:
            return str(error)

    def _check(self, pems: Pems) -> Certificate | str:
        try:
            return check(self._files, pems)
        except InvalidConfig as error:
            return str(error)

    def _look(self) -> bool:
        """Whether the files may be others than at the last look."""
        return self._marks.look(self._now().timestamp())

    def _take(self, pems: Pems, certificate: Certificate, event: str) -> None:
        self._seen, self._certificate, self._told = pems, certificate, ""
        log.info(
            event,
            file=str(self._files.cert),
            subject=certificate.subject,
            names=certificate.names,
            not_after=certificate.not_after.isoformat(),
            sha256=certificate.fingerprint,
        )

    def _tell_when_out_of_date(self) -> None:
        """Once for each certificate: when it is loaded, or when its time comes."""
        fault = self.certificate.fault_at(self._now())
        if fault and fault != self._told:
            log.error(
                "certificate_not_valid", file=str(self._files.cert), text=f"clients that verify it refuse it: {fault}"
            )
        self._told = fault


def _configuration(pems: Pems) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(pems.key, pems.cert)], root_certificates=pems.client_ca)
