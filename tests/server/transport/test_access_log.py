"""The access log: one line a call, with the same fields in both lanes."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest

from ortolan.inference import inference_pb2 as pb
from ortolan.inference import inference_pb2_grpc
from tests.conformance.http2 import GRPC_HEADERS, headers_frame, message_frame, raw_call
from tests.server.transport.conftest import ENDLESS
from tests.serving import RunningServer, running_server

SERVICE = "/inference.GRPCInferenceService"
LIMIT_S = 60.0
Stub = inference_pb2_grpc.GRPCInferenceServiceStub
CODES = {code.name for code in grpc.StatusCode}


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("secrets") / "tokens"
    path.write_text("a-token-that-only-tests-have\n")
    return path


@pytest.fixture(scope="module", params=["--fast-lane", "--public-lane"])
def logged(repository: Path, request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    with running_server(repository, request.param, "--access-log") as server:
        yield server


@pytest.fixture
def stub(logged: RunningServer) -> Iterator[Stub]:
    with grpc.insecure_channel(logged.address) as channel:
        yield Stub(channel)


def adding(request_id: str, size: int = 1) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name="add_one", id=request_id)
    request.inputs.add(name="x", datatype="FP32", shape=[size, 2])
    request.raw_input_contents.append(np.zeros((size, 2), np.float32).tobytes())
    return request


def endless(request_id: str) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name="countdown", id=request_id)
    request.inputs.add(name="n", datatype="INT64", shape=[])
    request.raw_input_contents.append(np.int64(ENDLESS).tobytes())
    return request


def line(server: RunningServer, **having: object) -> dict[str, object]:
    """Without what differs from call to call."""
    found = dict(server.wait_for("call_ended", LIMIT_S, **having))
    assert str(found.pop("peer")).startswith("ipv4:127.0.0.1:")
    duration_ms = found.pop("duration_ms")
    assert isinstance(duration_ms, float)
    assert 0 < duration_ms < LIMIT_S * 1000
    return {key: value for key, value in found.items() if key not in ("event", "level", "timestamp")}


def counts(requests: int, received: int, responses: int, sent: int) -> dict[str, object]:
    return {
        "request_messages": requests,
        "request_bytes": received,
        "response_messages": responses,
        "response_bytes": sent,
    }


def test_unary_call(logged: RunningServer, stub: Stub) -> None:
    request = adding("answered")
    answer = stub.ModelInfer(request, timeout=LIMIT_S)
    assert line(logged, request_id="answered") == {
        "method": f"{SERVICE}/ModelInfer",
        "model": "add_one",
        "request_id": "answered",
        "code": "OK",
        **counts(1, request.ByteSize(), 1, answer.ByteSize()),
    }


def test_large_call(logged: RunningServer, stub: Stub) -> None:
    request = adding("large", 100_000)
    answer = stub.ModelInfer(request, timeout=LIMIT_S)
    assert line(logged, request_id="large")["response_bytes"] == answer.ByteSize() > 800_000


def test_refused_call(logged: RunningServer, stub: Stub) -> None:
    request = adding("refused")
    request.model_name = "nothing"
    with pytest.raises(grpc.RpcError):
        stub.ModelInfer(request, timeout=LIMIT_S)
    assert line(logged, request_id="refused") == {
        "method": f"{SERVICE}/ModelInfer",
        "model": "nothing",
        "request_id": "refused",
        "code": "NOT_FOUND",
        **counts(1, request.ByteSize(), 0, 0),
    }


def test_cancelled_call(logged: RunningServer, stub: Stub) -> None:
    running = stub.ModelInfer.future(endless("cancelled"), timeout=LIMIT_S)
    logged.wait_for_runs(1)
    running.cancel()
    found = line(logged, request_id="cancelled")
    assert (found["model"], found["code"], found["response_messages"]) == ("countdown", "CANCELLED", 0)


def test_call_whose_client_leaves_before_its_message_comes(logged: RunningServer) -> None:
    """What is read then looks like what a client sends that has no message."""
    if logged.wait_for("server_listening")["lane"] != "fast":
        pytest.skip("grpcio tells nobody of such a call")
    left = threading.Event()

    def nothing() -> Iterator[bytes]:
        left.wait(LIMIT_S)
        yield from ()

    method = f"{SERVICE}/ModelInfer"
    with grpc.insecure_channel(logged.address) as channel:
        start: grpc.StreamUnaryMultiCallable[bytes, bytes] = channel.stream_unary(method)
        logged.wait_for_metric("ortolan_in_flight_requests", 0)
        call = start.future(nothing())
        logged.wait_for_metric("ortolan_in_flight_requests", 1)
        call.cancel()
        left.set()
        assert start.future(iter(())).code() is grpc.StatusCode.UNIMPLEMENTED
    for code in ("CANCELLED", "UNIMPLEMENTED"):
        assert line(logged, method=method, request_messages=0, code=code)["code"] == code


def test_call_that_is_late(logged: RunningServer) -> None:
    headers = headers_frame([*GRPC_HEADERS, ("grpc-timeout", "1S")])
    # This client waits longer than it told the server: others leave at the same moment, and who is first is chance. The
    # message comes with the headers, and must be read before the time is over.
    answer = raw_call(logged.address, headers, message_frame(endless("late").SerializeToString()))
    assert answer.code == "DEADLINE_EXCEEDED"
    found = line(logged, request_id="late")
    assert (found["model"], found["code"]) == ("countdown", "DEADLINE_EXCEEDED")


def test_stream(logged: RunningServer, stub: Stub) -> None:
    requests = [adding(str(number)) for number in range(10)]
    answers = list(stub.ModelStreamInfer(iter(requests), timeout=LIMIT_S))
    assert line(logged, method=f"{SERVICE}/ModelStreamInfer", request_messages=10) == {
        "method": f"{SERVICE}/ModelStreamInfer",
        "code": "OK",
        **counts(10, sum(it.ByteSize() for it in requests), 10, sum(it.ByteSize() for it in answers)),
    }


def test_stream_whose_client_leaves(logged: RunningServer, stub: Stub) -> None:
    logged.wait_for_runs(0)
    call = stub.ModelStreamInfer(iter([adding("1"), endless("2")]), timeout=LIMIT_S)
    next(call)
    logged.wait_for_runs(1)
    call.cancel()
    found = line(logged, method=f"{SERVICE}/ModelStreamInfer", code="CANCELLED")
    assert (found["request_messages"], found["response_messages"]) == (2, 1)


def test_streams_whose_clients_leave_while_nothing_runs(logged: RunningServer, stub: Stub) -> None:
    """Until the call is over, their end looks like that of a client that has no more requests."""
    sizes = range(10, 60)
    left = threading.Event()

    def requests(size: int) -> Iterator[pb.ModelInferRequest]:
        yield adding("1", size)
        left.wait(LIMIT_S)

    for size in sizes:
        call = stub.ModelStreamInfer(requests(size), timeout=LIMIT_S)
        next(call)
        call.cancel()
    left.set()
    codes = [line(logged, request_messages=1, request_bytes=adding("1", size).ByteSize())["code"] for size in sizes]
    assert codes == ["CANCELLED"] * len(sizes)


@pytest.mark.parametrize(
    ("method", "code"),
    [
        (f"{SERVICE}/ServerLive", "OK"),
        (f"{SERVICE}/ModelMetadata", "NOT_FOUND"),
        ("/grpc.health.v1.Health/Check", "OK"),
        ("/grpc.channelz.v1.Channelz/GetServers", "OK"),
        ("/no.Service/Method", "UNIMPLEMENTED"),
    ],
)
def test_cold_call(logged: RunningServer, method: str, code: str) -> None:
    with grpc.insecure_channel(logged.address) as channel:
        unary: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)
        outcome = unary.future(b"", timeout=LIMIT_S)
        assert outcome.code().name == code
        answered = len(outcome.result()) if code == "OK" else 0
    found = line(logged, method=method)
    read = 0 if code == "UNIMPLEMENTED" else 1
    assert found == {"method": method, "code": code, **counts(read, 0, int(code == "OK"), answered)}


def test_watch(logged: RunningServer) -> None:
    with grpc.insecure_channel(logged.address) as channel:
        for method in ("/grpc.health.v1.Health/Watch", "/ortolan.v1.ProviderReflection/WatchAssignments"):
            watch: grpc.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(method)
            call = watch(b"", timeout=LIMIT_S)
            size = len(next(call))
            call.cancel()
            found = line(logged, method=method)
            assert found["code"] == "CANCELLED"
            assert isinstance(found["response_bytes"], int)
            assert found["response_bytes"] >= size


@pytest.mark.parametrize("lane", ["--fast-lane", "--public-lane"])
def test_refused_by_the_guard(repository: Path, tokens: Path, lane: str) -> None:
    flags = (lane, "--access-log", "--auth-tokens", str(tokens))
    with running_server(repository / "add_one", *flags) as server, grpc.insecure_channel(server.address) as channel:
        stub = Stub(channel)
        calls: dict[str, Callable[[], object]] = {
            "ModelInfer": lambda: stub.ModelInfer(adding("x"), timeout=LIMIT_S),
            "ModelStreamInfer": lambda: list(stub.ModelStreamInfer(iter([adding("x")]), timeout=LIMIT_S)),
            "ServerLive": lambda: stub.ServerLive(pb.ServerLiveRequest(), timeout=LIMIT_S),
        }
        for name, call in calls.items():
            with pytest.raises(grpc.RpcError):
                call()
            method = f"{SERVICE}/{name}"
            assert line(server, method=method) == {"method": method, "code": "UNAUTHENTICATED", **counts(0, 0, 0, 0)}


def test_it_is_off_by_default(repository: Path) -> None:
    with running_server(repository / "add_one") as server:
        with grpc.insecure_channel(server.address) as channel:
            stub = Stub(channel)
            stub.ServerLive(pb.ServerLiveRequest(), timeout=LIMIT_S)
            stub.ModelInfer(adding("x"), timeout=LIMIT_S)
        assert server.stop() == 0  # and with that the log is whole
    assert not [event for event in server.events if event["event"] == "call_ended"]
