"""The hook, in both lanes: every call passes it before its message is read, and takes no thread when it is refused."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import grpc
import numpy as np
import pytest

from ortolan_client import Client, HealthStatus, NotAllowed, Tls
from tests.certificates import Chains
from tests.server.transport.lane.serving import method
from tests.serving import RunningServer, running_server

OURS = "a-token-that-only-tests-have"
STRANGE = "a-token-that-nobody-has"
ZEROS = {"x": np.zeros((1, 2), np.float32)}
LIMIT_S = 20.0


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("secrets") / "tokens"
    path.write_text(f"{OURS}\n")
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module", params=["--fast-lane", "--public-lane"])
def guarded(repository: Path, tokens: Path, request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    with running_server(repository / "add_one", request.param, "--auth-tokens", str(tokens)) as server:
        yield server
        assert OURS not in server.log
        assert STRANGE not in server.log


CALLS: dict[str, Callable[[Client], object]] = {
    "unary": lambda client: client.infer("add_one", ZEROS)["y"].tolist(),
    "stream": lambda client: [answer["y"].tolist() for answer in client.stream("add_one", [ZEROS])],
    "cold": lambda client: client.model_ready("add_one"),
    "control": lambda client: bool(client.providers(["cpu"])),
    "watch": lambda client: next(client.watch("add_one")).state,
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_every_call_needs_a_token(guarded: RunningServer, call: Callable[[Client], object]) -> None:
    with Client(guarded.address) as client, pytest.raises(NotAllowed, match="authorization: Bearer TOKEN") as raised:
        call(client)
    assert raised.value.code == "UNAUTHENTICATED"
    with (
        Client(guarded.address, token=STRANGE) as client,
        pytest.raises(NotAllowed, match="none that this server") as raised,
    ):
        call(client)
    assert STRANGE not in raised.value.message
    with Client(guarded.address, token=OURS) as client:
        assert call(client)


def rejected(server: RunningServer) -> float:
    with urlopen(f"http://{server.http_address}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    head = 'ortolan_rejected_requests_total{code="UNAUTHENTICATED",model=""} '
    return sum(float(line.removeprefix(head)) for line in lines if line.startswith(head))


def test_refused_inferences_are_counted(guarded: RunningServer) -> None:
    before = rejected(guarded)
    with Client(guarded.address, token=STRANGE) as client:
        for call in (CALLS["unary"], CALLS["stream"], CALLS["cold"]):
            with pytest.raises(NotAllowed):
                call(client)
    assert rejected(guarded) == before + 2  # the last one is no inference


def test_health_needs_none_and_unknown_methods_do(guarded: RunningServer) -> None:
    with Client(guarded.address) as client:
        assert client.health("add_one") is HealthStatus.SERVING
    with grpc.insecure_channel(guarded.address) as channel:
        for path in ("/x/Y", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"):
            with pytest.raises(grpc.RpcError) as raised:
                method(channel, path)(b"", timeout=LIMIT_S)
            assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("name", ["ModelInfer", "ModelStreamInfer", "ServerReady"])
def test_refused_calls_are_not_read(guarded: RunningServer, name: str) -> None:
    """Their clients have sent nothing yet."""
    over = threading.Event()

    def nothing() -> Iterator[bytes]:
        over.wait(LIMIT_S)
        yield from ()

    with grpc.insecure_channel(guarded.address) as channel:
        start: grpc.StreamUnaryMultiCallable[bytes, bytes] = channel.stream_unary(
            f"/inference.GRPCInferenceService/{name}"
        )
        call = start.future(nothing(), timeout=LIMIT_S)
        assert call.code() is grpc.StatusCode.UNAUTHENTICATED
        assert not over.is_set()
        over.set()


def test_a_flood_of_refused_calls_keeps_nobody_waiting(guarded: RunningServer) -> None:
    with grpc.insecure_channel(guarded.address) as channel, Client(guarded.address, token=OURS) as client:
        ready = method(channel, "/inference.GRPCInferenceService/ServerReady")
        refused = [ready.future(bytes(1000), timeout=LIMIT_S) for _ in range(500)]
        assert client.infer("add_one", ZEROS)["y"].tolist() == [[1, 1]]
        assert client.server_ready()
        assert {call.code() for call in refused} == {grpc.StatusCode.UNAUTHENTICATED}


def test_a_drain_ends_all_the_same(repository: Path, tokens: Path) -> None:
    with running_server(repository / "add_one", "--auth-tokens", str(tokens)) as server:
        with Client(server.address) as client, pytest.raises(NotAllowed):
            client.infer("add_one", ZEROS)
        assert server.stop() == 0


def test_tokens_go_over_tls(repository: Path, tokens: Path, chains: Chains) -> None:
    flags = ("--tls-cert", str(chains.right.cert), "--tls-key", str(chains.right.key), "--auth-tokens", str(tokens))
    with running_server(repository / "add_one", *flags) as server:
        tls = Tls(ca=chains.ca)
        with Client(server.address, tls=tls) as client, pytest.raises(NotAllowed, match="wants a token"):
            client.infer("add_one", ZEROS)
        with Client(server.address, tls=tls, token=OURS) as client:
            assert all(call(client) for call in CALLS.values())


def test_a_server_without_usable_tokens_does_not_start(repository: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError, match="has no token; wanted one a line"),
        running_server(repository / "add_one", "--auth-tokens", str(empty(tmp_path))),
    ):
        pass


def empty(folder: Path) -> Path:
    path = folder / "tokens"
    path.write_text("# nobody yet\n")
    return path
