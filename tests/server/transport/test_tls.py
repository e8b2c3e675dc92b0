"""Which certificate a connection gets: files that cannot be used, new files, files that are half written."""

import errno
import os
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copy

import numpy as np
import pytest
from structlog.testing import capture_logs

from ortolan_client import Client, Tls, Unavailable
from ortolan_server.errors import InvalidConfig
from ortolan_server.transport.certificates import TlsFiles
from ortolan_server.transport.tls import ServerCertificates
from tests import models
from tests.certificates import Chains, Pair, openssl
from tests.serving import running_server

ROW = np.array([[1, 2]], np.float32)
PASS_PHRASE = ("-aes256", "-passout", "pass:secret")


@pytest.fixture
def served(chains: Chains, tmp_path: Path) -> Pair:
    """A copy of the right pair, to be written over."""
    pair = Pair(tmp_path / "tls.crt", tmp_path / "tls.key")
    chains.right.copy_to(pair)
    return pair


@pytest.fixture
def client_ca(chains: Chains, tmp_path: Path) -> Path:
    return Path(copy(chains.client_ca, tmp_path / "ca.crt"))


@pytest.fixture
def certificates(served: Pair, client_ca: Path) -> ServerCertificates:
    made = ServerCertificates(TlsFiles(served.cert, served.key, client_ca))
    made.credentials()
    return made


@pytest.fixture
def log() -> Iterator[list[dict[str, object]]]:
    with capture_logs() as events:
        yield events  # type: ignore[misc] # structlog's own type of it is wider


def names(log: list[dict[str, object]]) -> list[object]:
    return [event["event"] for event in log]


def test_what_is_loaded_is_told(served: Pair, log: list[dict[str, object]]) -> None:
    certificates = ServerCertificates(TlsFiles(served.cert, served.key))
    certificates.credentials()
    found = certificates.certificate
    assert (found.subject, found.names, found.self_signed) == ("commonName=right", ("localhost", "127.0.0.1"), False)
    assert timedelta(days=29) < found.not_after - datetime.now(UTC) < timedelta(days=30)
    said = openssl("x509", "-in", served.cert, "-noout", "-fingerprint", "-sha256")
    assert said.strip().rpartition("=")[2].replace(":", "").lower() == found.fingerprint
    assert names(log) == ["certificate_loaded"]
    assert log[0]["not_after"] == found.not_after.isoformat()


def test_a_chain_after_the_certificate_is_fine(chains: Chains, served: Pair) -> None:
    served.cert.write_bytes(chains.right.cert.read_bytes() + chains.ca.read_bytes())
    certificates = ServerCertificates(TlsFiles(served.cert, served.key))
    certificates.credentials()
    assert certificates.certificate.subject == "commonName=right"


def refusal(files: TlsFiles) -> str:
    with pytest.raises(InvalidConfig) as raised:
        ServerCertificates(files).credentials()
    return str(raised.value)


@pytest.mark.parametrize(
    ("file", "flag"), [("cert", "--tls-cert"), ("key", "--tls-key"), ("client_ca", "--tls-client-ca")]
)
def test_a_file_that_cannot_be_used_is_named(
    file: str, flag: str, served: Pair, client_ca: Path, tmp_path: Path
) -> None:
    path = {"cert": served.cert, "key": served.key, "client_ca": client_ca}[file]
    files = TlsFiles(served.cert, served.key, client_ca)
    what = "private key" if file == "key" else "certificate"
    path.write_text("junk")
    assert f"{flag} {path}: has no PEM {what}" in refusal(files)
    path.unlink()
    assert refusal(files) == f"{flag} {path}: cannot be read: No such file or directory"
    path.mkdir()
    assert refusal(files) == f"{flag} {path}: is no regular file"
    path.rmdir()
    path.write_bytes(bytes(5 << 20))
    assert f"{flag} {path}: is larger than 4 MiB" in refusal(files)


def test_a_key_that_does_not_fit_is_refused(chains: Chains, served: Pair) -> None:
    copy(chains.renewed.key, served.key)
    said = refusal(TlsFiles(served.cert, served.key))
    assert said == f"--tls-key {served.key}: does not fit the certificate {served.cert}"


def test_an_encrypted_key_is_refused(chains: Chains, served: Pair) -> None:
    openssl("pkey", "-in", chains.right.key, *PASS_PHRASE, "-out", served.key)
    assert f"--tls-key {served.key}: is encrypted" in refusal(TlsFiles(served.cert, served.key))
    openssl("ec", "-in", chains.right.key, *PASS_PHRASE, "-out", served.key)
    assert f"--tls-key {served.key}: is encrypted" in refusal(TlsFiles(served.cert, served.key))


def test_files_that_are_cut_or_swapped_are_refused(chains: Chains, served: Pair) -> None:
    files = TlsFiles(served.cert, served.key)
    whole = chains.right.cert.read_bytes()
    served.cert.write_bytes(whole + whole[:200] + whole[-26:])
    assert refusal(files) == f"--tls-cert {served.cert}: certificate 2 of 2 in it is broken"
    served.cert.write_bytes(whole)
    served.key.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    assert refusal(files) == f"--tls-key {served.key}: the private key in it is broken"
    swapped = TlsFiles(chains.right.key, chains.right.cert)
    assert "to the line with END), but a private key" in refusal(swapped)
    assert "but a certificate" in refusal(TlsFiles(chains.right.cert, chains.right.cert))


def test_certificates_of_the_wrong_kind_are_refused(chains: Chains, served: Pair) -> None:
    assert "no client would take it: unsuitable certificate purpose" in refusal(
        TlsFiles(chains.client.cert, chains.client.key)
    )
    assert "has no certificate of an authority" in refusal(TlsFiles(served.cert, served.key, chains.client.cert))


def test_files_that_stay_are_not_given_again(certificates: ServerCertificates, log: list[dict[str, object]]) -> None:
    assert certificates.fetch() is None
    assert certificates.fetch() is None
    assert log == []


def test_new_files_are_taken(
    certificates: ServerCertificates, chains: Chains, served: Pair, log: list[dict[str, object]]
) -> None:
    chains.renewed.copy_to(served)
    assert certificates.fetch() is not None
    assert certificates.certificate.subject == "commonName=renewed"
    assert certificates.fetch() is None
    assert [(event["event"], event["subject"]) for event in log] == [("certificate_reloaded", "commonName=renewed")]


def test_a_key_that_comes_later_is_waited_for(
    certificates: ServerCertificates, chains: Chains, served: Pair, log: list[dict[str, object]]
) -> None:
    copy(chains.renewed.cert, served.cert)
    for _ in range(3):
        assert certificates.fetch() is None
    assert certificates.certificate.subject == "commonName=right"
    copy(chains.renewed.key, served.key)
    assert certificates.fetch() is not None
    assert certificates.certificate.subject == "commonName=renewed"
    assert names(log) == ["certificate_reload_failed", "certificate_reloaded"]
    assert log[0]["reason"] == f"--tls-key {served.key}: does not fit the certificate {served.cert}"


def test_each_broken_state_is_told_once_and_the_last_good_pair_stays(
    certificates: ServerCertificates, chains: Chains, served: Pair, log: list[dict[str, object]]
) -> None:
    whole = chains.renewed.cert.read_bytes()
    for content in (b"", whole[:100], whole[: len(whole) // 2]):
        served.cert.write_bytes(content)
        assert certificates.fetch() is None
        assert certificates.fetch() is None
    served.cert.unlink()
    assert certificates.fetch() is None
    assert certificates.fetch() is None
    assert names(log) == ["certificate_reload_failed"] * 4
    assert "cannot be read" in str(log[3]["reason"])
    assert certificates.certificate.subject == "commonName=right"
    chains.right.copy_to(served)
    assert certificates.fetch() is not None  # as before: and that is told too
    assert names(log)[4:] == ["certificate_reloaded"]


def test_a_change_that_leaves_no_mark_is_seen(certificates: ServerCertificates, chains: Chains, served: Pair) -> None:
    """Written twice within a tick of the file system's clock, with the same size."""
    copy(chains.renewed.cert, served.cert)
    key = chains.renewed.key.read_bytes()
    served.key.write_bytes(b"x" * len(key))
    written = served.key.stat()
    assert certificates.fetch() is None
    served.key.write_bytes(key)
    os.utime(served.key, ns=(written.st_atime_ns, written.st_mtime_ns))
    assert certificates.fetch() is not None


def test_a_change_of_rights_is_a_mark(chains: Chains, served: Pair, log: list[dict[str, object]]) -> None:
    """A key that becomes readable has the content, size and time of before."""
    now = datetime.now(UTC) + timedelta(minutes=1)
    certificates = ServerCertificates(TlsFiles(served.cert, served.key), lambda: now)
    certificates.credentials()
    assert certificates.fetch() is None
    written = served.key.stat()
    other = chains.renewed.key.read_bytes()
    assert len(other) == written.st_size
    served.key.write_bytes(other)
    os.utime(served.key, ns=(written.st_atime_ns, written.st_mtime_ns))
    assert certificates.fetch() is None
    assert names(log) == ["certificate_loaded", "certificate_reload_failed"]


def test_what_could_not_be_read_is_read_again(chains: Chains, served: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file handle is left, for a moment: nothing in the files' marks tells when that is over."""
    now = datetime.now(UTC) + timedelta(minutes=1)
    certificates = ServerCertificates(TlsFiles(served.cert, served.key), lambda: now)
    certificates.credentials()
    chains.renewed.copy_to(served)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse_to_open)
        assert certificates.fetch() is None
    assert certificates.fetch() is not None


def refuse_to_open(path: Path, *arguments: object) -> None:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def test_a_secret_of_kubernetes_is_followed(chains: Chains, tmp_path: Path) -> None:
    """Files are links into `..data`, itself a link that is renamed over when the secret changes."""
    for version, pair in (("..1", chains.right), ("..2", chains.renewed)):
        (tmp_path / version).mkdir()
        pair.copy_to(Pair(tmp_path / version / "tls.crt", tmp_path / version / "tls.key"))
    data = tmp_path / "..data"
    data.symlink_to("..1")
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    certificates = ServerCertificates(TlsFiles(tmp_path / "tls.crt", tmp_path / "tls.key"))
    certificates.credentials()
    (tmp_path / "..data_tmp").symlink_to("..2")
    (tmp_path / "..data_tmp").rename(data)
    assert certificates.fetch() is not None
    assert certificates.certificate.subject == "commonName=renewed"


def test_the_clients_authority_is_reloaded_too(
    certificates: ServerCertificates, chains: Chains, client_ca: Path
) -> None:
    copy(chains.other_ca, client_ca)
    assert certificates.fetch() is not None
    client_ca.write_bytes(chains.other_client.cert.read_bytes())
    assert certificates.fetch() is None


def test_an_expired_certificate_is_served_and_told_once(chains: Chains, log: list[dict[str, object]]) -> None:
    certificates = ServerCertificates(TlsFiles(chains.expired.cert, chains.expired.key))
    certificates.credentials()
    certificates.fetch()
    assert names(log) == ["certificate_loaded", "certificate_not_valid"]
    assert "clients that verify it refuse it: it expired on" in str(log[1]["text"])


def test_one_that_expires_meanwhile_is_told(served: Pair, log: list[dict[str, object]]) -> None:
    now = datetime.now(UTC)
    certificates = ServerCertificates(TlsFiles(served.cert, served.key), lambda: now)
    certificates.credentials()
    certificates.fetch()
    assert "certificate_not_valid" not in names(log)
    now += timedelta(days=31)
    certificates.fetch()
    certificates.fetch()
    assert names(log) == ["certificate_loaded", "certificate_not_valid"]


def test_a_real_server_takes_new_files_while_a_client_is_connected(
    chains: Chains, served: Pair, client_ca: Path, tmp_path: Path
) -> None:
    models.save(models.add_one(), tmp_path / "models" / "add_one")
    flags = ("--tls-cert", str(served.cert), "--tls-key", str(served.key), "--tls-client-ca", str(client_ca))
    with running_server(tmp_path / "models", *flags) as server, connect(server.address, chains) as client:
        assert server.wait_for("server_listening")["tls"] == "mtls"
        assert client.infer("add_one", {"x": ROW})["y"].tolist() == [[2, 3]]
        with Client(server.address, tls=chains.tls()) as stranger, pytest.raises(Unavailable, match="client certif"):
            stranger.server_live()

        served.cert.write_bytes(b"-----BEGIN CERTIFICATE-----\n")
        with connect(server.address, chains) as another:
            assert another.server_live()
        assert presented(server.address) == fingerprint(chains.right)
        server.wait_for("certificate_reload_failed")

        chains.renewed.copy_to(served)
        assert presented(server.address) == fingerprint(chains.renewed)
        with connect(server.address, chains) as another:
            assert another.server_live()
        assert client.infer("add_one", {"x": ROW})["y"].tolist() == [[2, 3]]
        assert server.wait_for("certificate_reloaded")["subject"] == "commonName=renewed"

        server.wait_for_output("GetAssignment")
        assert any(
            f"status {server.address} --tls-ca CA.pem --tls-cert ME.pem --tls-key ME.key" in line
            for line in server.output
        )


def test_tls_over_a_unix_socket(chains: Chains, served: Pair, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    flags = ("--grpc-address", f"unix:{tmp_path}/o.sock", "--tls-cert", str(served.cert), "--tls-key", str(served.key))
    with running_server(tmp_path / "models", *flags) as server, Client(server.address, tls=chains.tls()) as client:
        assert client.server_live()
        with Client(server.address, tls=Tls(chains.ca, server_name="other")) as other, pytest.raises(Unavailable):
            other.server_live()


def connect(address: str, chains: Chains) -> Client:
    return Client(address, tls=chains.tls(chains.client))


def presented(address: str) -> str:
    """The certificate that a new connection is shown."""
    host, _, port = address.rpartition(":")
    return ssl.get_server_certificate((host, int(port)))


def fingerprint(pair: Pair) -> str:
    return ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(pair.cert.read_text()))
