"""What a loop on gRPC's completion queue can do to a whole server, and what keeps it from that."""

import gc
import itertools
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import grpc
import numpy as np
import pytest

from ortolan.inference import inference_pb2 as pb
from ortolan.inference import inference_pb2_grpc
from ortolan_client import Client, HealthStatus, OrtolanClientError
from ortolan_server.services.inference import InferenceService
from ortolan_server.transport.lane.core import CoreCall
from ortolan_server.transport.lane.pump import LanePump
from ortolan_server.transport.lane.shared import LARGE_BYTES, LaneShared, goes_aside
from ortolan_server.transport.lane.unary import UnaryLane
from ortolan_server.transport.pools import ByteBudget
from tests.server.transport.held import Asked, HeldService, response, stream_server
from tests.server.transport.lane.serving import LIMIT_S, lane_server, method
from tests.serving import STOP_LIMIT_S, RunningServer, running_server

PATH = "/test.Lane/Infer"
ZEROS = {"x": np.zeros((1, 2), np.float32)}
STREAMS = 40  # more than the server has threads for short calls


def message(request_id: str, size: int = 0) -> bytes:
    request = pb.ModelInferRequest(model_name="m", id=request_id)
    request.raw_input_contents.append(bytes(size))
    return request.SerializeToString()


def at_once(asked: Asked) -> None:
    asked.answer(response(asked.request))


def unary_lane(service: HeldService, aside: ThreadPoolExecutor) -> UnaryLane:
    shared = LaneShared(cast("InferenceService", service), LanePump(), aside, ByteBudget(1 << 30), 1 << 28)
    return UnaryLane(shared, max_in_flight=1000)


def test_large_messages_keep_no_small_one_waiting() -> None:
    """Two large messages are being read, for as long as the small ones behind them take."""
    goes_on = threading.Event()

    def read(asked: Asked) -> None:
        if asked.size > LARGE_BYTES:
            goes_on.wait(LIMIT_S)
        at_once(asked)

    with (
        ThreadPoolExecutor(2) as aside,
        lane_server({PATH: unary_lane(HeldService(read), aside)}, max_receive_message_length=-1) as (_, channel),
    ):
        call = method(channel, PATH)
        large = [call.future(message("large", 16 << 20), timeout=LIMIT_S) for _ in range(3)]
        for number in range(50):
            answer = pb.ModelInferResponse.FromString(call(message(str(number)), timeout=LIMIT_S))
            assert answer.id == str(number)
        assert not any(each.done() for each in large)
        goes_on.set()
        assert {pb.ModelInferResponse.FromString(each.result()).id for each in large} == {"large"}


def large_message(size_bytes: int, datatype: str = "FP32", *, raw: bool = True) -> bytes:
    request = pb.ModelInferRequest(model_name="m")
    tensor = request.inputs.add(name="x", datatype=datatype, shape=[1, size_bytes // 4])
    if raw:
        request.raw_input_contents.append(bytes(size_bytes))
    else:
        tensor.contents.fp32_contents.extend([1.0] * (size_bytes // 4))
    return request.SerializeToString()


@pytest.mark.parametrize(
    ("data", "aside"),
    [
        pytest.param(large_message(4 << 10, "BYTES"), False, id="small"),
        pytest.param(large_message(1 << 20), False, id="taken out as it is"),
        pytest.param(large_message(1 << 20, "BYTES"), True, id="texts, read one by one"),
        pytest.param(large_message(1 << 20, raw=False), True, id="typed contents"),
        pytest.param(large_message(1 << 20, raw=False) + large_message(4), True, id="typed contents beside a tensor"),
        pytest.param(large_message(3 << 20), True, id="may have to be copied"),
        pytest.param(bytes(1 << 20), True, id="no message"),
    ],
)
def test_what_takes_long_to_read_goes_aside(data: bytes, *, aside: bool) -> None:
    assert goes_aside(data) is aside


def calls_alive() -> int:
    return sum(isinstance(each, CoreCall) for each in gc.get_objects())


@pytest.fixture
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("without_collector")
def test_calls_that_are_over_need_no_garbage_collector() -> None:
    """The core counts a stream as open while its call lives."""
    before = calls_alive()
    service = HeldService(at_once)
    with ThreadPoolExecutor(1) as aside, lane_server({PATH: unary_lane(service, aside)}) as (_, channel):
        for number in range(20):
            method(channel, PATH)(message(str(number)), timeout=LIMIT_S)
    with stream_server("fast", service) as server:
        for number in range(20):
            assert len(list(server.open(iter([message(str(number))])))) == 1
    assert len(service.asked) == 40
    deadline_s = time.monotonic() + LIMIT_S
    while calls_alive() > before and time.monotonic() < deadline_s:
        threading.Event().wait(0.01)  # the loop lets go of its last event after the client has its answer
    assert calls_alive() <= before  # one of a test before this one may have gone since


FAULT = """
from ortolan_server.transport.lane.pump import LanePump
def fault(self):
    raise RuntimeError("a fault of the loop")
LanePump.run = fault
"""
TELL = """
import atexit, gc, os, sys
def tell():
    print("interval", sys.getswitchinterval())
    print("collects after", gc.get_threshold()[0])
    print("stays", gc.get_freeze_count())
    print("experiments", os.environ["GRPC_EXPERIMENTS"], flush=True)
atexit.register(tell)
"""


def test_dead_loop_ends_the_process_and_says_so(repository: Path) -> None:
    def time_is_left(_: int) -> bool:
        return time.monotonic() < deadline_s

    deadline_s = time.monotonic() + LIMIT_S
    with running_server(repository / "add_one", before=FAULT) as server:
        if server.wait_for("server_listening")["lane"] != "fast":
            pytest.skip("there is no such loop in the public lane")
        with Client(server.address, timeout_s=LIMIT_S) as client, pytest.raises(OrtolanClientError):
            # The first ones, until it is known that they take no time, run elsewhere; on a busy machine those are many.
            all(client.infer("add_one", ZEROS) for _ in itertools.takewhile(time_is_left, itertools.count()))
        assert server.process.wait(STOP_LIMIT_S) == 1
        assert "a fault of the loop" in str(server.wait_for("lane_died")["exception"])


def told(server: RunningServer) -> dict[str, str]:
    assert server.stop() == 0
    words = (line.strip().rpartition(" ") for line in server.output)
    return {name: value for name, _, value in words}


def test_the_process_is_tuned(repository: Path) -> None:
    """Threads at work let go of the interpreter soon, and what stays is not looked through for garbage."""
    with running_server(repository / "add_one", before=TELL) as server:
        seen = told(server)
    assert float(seen["interval"]) < 1e-3
    assert int(seen["collects after"]) >= 10_000
    assert int(seen["stays"]) > 10_000
    assert "-event_engine_listener" in seen["experiments"]


def test_who_chose_how_grpc_reads_is_left_alone(repository: Path) -> None:
    with running_server(repository / "add_one", before=TELL, env={**os.environ, "GRPC_EXPERIMENTS": "-"}) as server:
        assert told(server)["experiments"] == "-"


def thread_count(server: RunningServer) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("Threads:")).split()[1])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="threads are counted in /proc, which is Linux's")
def test_open_streams_hold_no_threads(repository: Path) -> None:
    request = pb.ModelInferRequest(model_name="add_one")
    request.inputs.add(name="x", datatype="FP32", shape=[1, 2])
    request.raw_input_contents.append(bytes(8))
    over = threading.Event()

    def one_and_no_more() -> Iterator[pb.ModelInferRequest]:
        yield request
        over.wait(LIMIT_S)

    with (
        running_server(repository / "add_one") as server,
        grpc.insecure_channel(server.address) as channel,
        Client(server.address) as client,
    ):
        if server.wait_for("server_listening")["lane"] != "fast":
            pytest.skip("the public lane has two threads a stream")
        stub = inference_pb2_grpc.GRPCInferenceServiceStub(channel)

        def opened(count: int) -> list[Any]:
            streams = [stub.ModelStreamInfer(one_and_no_more(), timeout=LIMIT_S) for _ in range(count)]
            assert not any(next(stream).error_message for stream in streams)
            return streams

        assert client.health() is HealthStatus.SERVING
        streams = opened(1)
        before = thread_count(server)
        streams += opened(STREAMS)
        assert thread_count(server) - before < STREAMS / 2  # the core and the pool for short calls have their own ways
        assert client.health() is HealthStatus.SERVING
        over.set()
        assert [list(stream) for stream in streams] == [[]] * (STREAMS + 1)


@pytest.mark.parametrize("lane", ["--fast-lane", "--public-lane"])
def test_open_streams_keep_no_short_call_waiting(repository: Path, lane: str) -> None:
    over = threading.Event()

    def nothing() -> Iterator[pb.ModelInferRequest]:
        over.wait(LIMIT_S)
        yield from ()

    with running_server(repository / "add_one", lane) as server, grpc.insecure_channel(server.address) as channel:
        stub = inference_pb2_grpc.GRPCInferenceServiceStub(channel)
        streams = [stub.ModelStreamInfer(nothing(), timeout=LIMIT_S) for _ in range(STREAMS)]
        with Client(server.address, timeout_s=LIMIT_S) as client:
            assert client.health() is HealthStatus.SERVING
            assert client.infer("add_one", ZEROS)["y"].tolist() == [[1, 1]]
            assert client.server_ready()
        over.set()
        assert [list(stream) for stream in streams] == [[]] * STREAMS
