"""What goes with a call beside its message: metadata, deadlines, compression."""

import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np
import pytest

from ortolan_client import Client, DeadlineExceeded
from tests.clients.canned import CannedServer

SECRET = secrets.token_hex()
ONE = {"y": np.ones(1, np.float32)}


def test_metadata_of_the_client_and_of_the_call_go_together(canned: CannedServer) -> None:
    own: dict[str, str | bytes] = {"tenant": "a", "key-bin": b"\0\xff"}
    with Client(canned.address, timeout_s=20, token=SECRET, metadata=own) as client:
        client.infer("echo", ONE, metadata=[("trace", "t1")])
        client.server_live(metadata={"trace": "t2"})
        client.submit("echo", ONE, metadata={"trace": "t3"}).result(20)
        client.health()
    always = {"authorization": f"Bearer {SECRET}", **own}
    for beside, trace in zip(canned.beside, ("t1", "t2", "t3", None), strict=True):
        assert always.items() <= beside.items()
        assert beside.get("trace") == trace


@pytest.mark.parametrize(
    ("metadata", "text"),
    [
        ({"Tenant": "a"}, "metadata 'Tenant': a name has lower case letters"),
        ({"grpc-timeout": "1S"}, "does not begin with grpc-"),
        ({"a b": "c"}, "a name has lower case letters"),
        ({"tenant": b"a"}, "all others text"),
        ({"key-bin": "a"}, "names that end with -bin have bytes"),
        ({"tenant": "größe"}, "text is printable ASCII"),
        ({"tenant": "a\nb"}, "text is printable ASCII"),
    ],
)
def test_metadata_that_no_call_can_carry_is_refused(
    client: Client, metadata: dict[str, str | bytes], text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        Client(metadata=metadata)
    with pytest.raises(ValueError, match=text):
        client.server_live(metadata=metadata)


def test_what_is_asked_for_an_inference_goes_with_its_metadata_and_deadline(
    client: Client, canned: CannedServer
) -> None:
    bits = {"x": np.ones(1, np.uint16)}
    client.infer("echo", bits, metadata={"trace": "t1"})
    assert [beside.get("trace") for beside in canned.beside] == ["t1", "t1"]
    with Client(canned.address, timeout_s=20) as other:
        canned.answering.clear()
        with pytest.raises(DeadlineExceeded):
            other.infer("echo", bits, timeout_s=0.2)


def test_a_secret_is_not_shown() -> None:
    with pytest.raises(ValueError, match="tenant") as caught:
        Client(metadata={"tenant": "sécret"})
    assert "cret" not in str(caught.value)


def test_every_method_takes_a_deadline(client: Client, canned: CannedServer) -> None:
    canned.answering.clear()
    calls = (client.server_ready, client.index, client.providers, client.assignments, client.health, client.server)
    for call in calls:
        with pytest.raises(DeadlineExceeded):
            call(timeout_s=0.1)
    with pytest.raises(DeadlineExceeded):
        client.model("echo", timeout_s=0.1)
    with pytest.raises(DeadlineExceeded):
        list(client.watch(timeout_s=0.2))


@contextmanager
def relay(address: str, sizes: list[int]) -> Iterator[str]:
    """A way to the server that counts what goes there."""
    host, _, port = address.rpartition(":")

    def pump(source: socket.socket, target: socket.socket, counts: list[int]) -> None:
        with suppress(OSError):  # the other side is gone already
            while data := source.recv(65_536):
                counts.append(len(data))
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def serve() -> None:
        taken, _ = listener.accept()
        with taken, socket.create_connection((host, int(port))) as onward:
            back = threading.Thread(target=pump, args=(onward, taken, []))
            back.start()
            pump(taken, onward, sizes)
            back.join()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve)
        server.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        server.join()


@pytest.mark.parametrize(("compression", "smaller"), [("", False), ("gzip", True), ("deflate", True)])
def test_compression_makes_what_is_sent_smaller(canned: CannedServer, compression: str, smaller: bool) -> None:  # noqa: FBT001
    sizes: list[int] = []
    zeros = np.zeros(2**18, np.float32)
    with relay(canned.address, sizes) as address, Client(address, timeout_s=20, compression=compression) as client:
        np.testing.assert_array_equal(client.infer("echo", {"y": zeros})["y"], zeros)
    assert (sum(sizes) < zeros.nbytes / 10) is smaller
