"""The client over TLS: what it trusts, what it shows, and what it says when the handshake fails."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import numpy as np
import pytest

from ortolan_client import Client, Tls, Unavailable
from tests.certificates import Chains, Pair
from tests.clients.canned import CannedServer


@contextmanager
def serving(pair: Pair, client_ca: Path | None = None) -> Iterator[str]:
    credentials = grpc.ssl_server_credentials(
        [(pair.key.read_bytes(), pair.cert.read_bytes())],
        root_certificates=client_ca.read_bytes() if client_ca else None,
        require_client_auth=client_ca is not None,
    )
    with CannedServer(credentials=credentials) as server:
        yield server.address


def refusal(address: str, tls: Tls | None) -> str:
    with Client(address, tls=tls, timeout_s=20, retries=0) as client, pytest.raises(Unavailable) as raised:
        client.server_live()
    assert raised.value.code == "UNAVAILABLE"
    return raised.value.message


@pytest.mark.parametrize("form", [str, Path, Path.read_bytes])
def test_paths_and_bytes_are_taken(form: Callable[[Path], str | Path | bytes], chains: Chains) -> None:
    tls = Tls(ca=form(chains.ca), cert=form(chains.client.cert), key=form(chains.client.key))
    with serving(chains.right, chains.client_ca) as address, Client(address, tls=tls) as client:
        assert client.server_live()


def test_another_name_is_taken_when_it_is_expected(chains: Chains) -> None:
    tls = Tls(ca=chains.ca, server_name="elsewhere.example")
    with serving(chains.wrong_host) as address, Client(address, tls=tls) as client:
        assert client.server_live()


def test_a_server_that_is_not_trusted_is_refused(chains: Chains) -> None:
    with serving(chains.right) as address:
        said = refusal(address, Tls(ca=chains.other_ca))
        assert f"the server's certificate is refused: it is signed by no authority in ca {chains.other_ca}" in said
        assert "no authority in grpcio's public roots" in refusal(address, Tls())
    with serving(chains.expired) as address:
        said = refusal(address, chains.tls())
        assert said.startswith("the server's certificate is refused: certificate has expired; gRPC says: ")
    with serving(chains.wrong_host) as address:
        assert "it is not for the host in the address" in refusal(address, chains.tls())
        assert "it is not for nowhere.example" in refusal(address, Tls(ca=chains.ca, server_name="nowhere.example"))


def test_a_server_that_demands_a_certificate_is_recognised(chains: Chains) -> None:
    with serving(chains.right, chains.client_ca) as address:
        assert "as one does when it demands a client certificate" in refusal(address, chains.tls())
        for client in (chains.other_client, chains.expired_client):
            assert "as one does when it refuses the client certificate given" in refusal(address, chains.tls(client))


def test_one_side_without_tls(canned: CannedServer, chains: Chains) -> None:
    assert refusal(canned.address, chains.tls()).startswith("the server does not speak TLS on this port; gRPC says: ")
    with serving(chains.right) as address:
        assert "it may want TLS, which is Client(tls=…)" in refusal(address, None)


def test_streams_and_watches_say_it_too(chains: Chains) -> None:
    with serving(chains.right) as address, Client(address, tls=Tls(ca=chains.other_ca), retries=0) as client:
        stream = client.stream("simple", [{"x": np.zeros(1, np.float32)}])
        with stream, pytest.raises(Unavailable, match="signed by no authority"):
            next(stream)
        with pytest.raises(Unavailable, match="signed by no authority"):
            next(client.watch())
        with pytest.raises(Unavailable, match="signed by no authority"):
            client.health()


def test_nobody_there_is_not_called_a_matter_of_tls(unused_tcp_address: str, chains: Chains) -> None:
    assert "TLS" not in refusal(unused_tcp_address, chains.tls())


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda c: Tls(ca="/nowhere.pem"), "TLS: ca /nowhere.pem cannot be read: No such file or directory"),
        (lambda c: Tls(ca=c.right.key), "has no certificate in PEM form"),
        (lambda c: Tls(ca=b"junk"), r"TLS: ca \(bytes\) has no certificate in PEM form"),
        (lambda c: Tls(cert=c.client.cert, key=c.client.cert), "has no private key in PEM form"),
        (lambda c: Tls(cert=c.client.cert), "TLS: cert is given without key"),
        (lambda c: Tls(key=c.client.key), "TLS: key is given without cert"),
        (lambda c: Tls(cert=c.client.cert, key=b"-----BEGIN ENCRYPTED PRIVATE KEY-----"), "is encrypted"),
    ],
)
def test_what_cannot_be_used_is_named(make: Callable[[Chains], Tls], text: str, chains: Chains) -> None:
    with pytest.raises(ValueError, match=text):
        Client("127.0.0.1:1", tls=make(chains))


def test_a_key_that_does_not_fit_is_told(chains: Chains) -> None:
    mixed = Tls(ca=chains.ca, cert=chains.client.cert, key=chains.other_client.key)
    with serving(chains.right) as address:
        assert "or the key does not fit its certificate" in refusal(address, mixed)


def test_a_key_is_not_shown() -> None:
    assert "secret" not in repr(Tls(cert=b"public", key=b"secret"))
