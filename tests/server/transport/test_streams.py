"""ModelStreamInfer and the watches: order, errors in-band, windows, and what happens when the server stops."""

import queue
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2

from ortolan.inference import inference_pb2 as pb
from ortolan.inference import inference_pb2_grpc
from ortolan.v1 import provider_reflection_pb2 as v1
from ortolan.v1 import provider_reflection_pb2_grpc
from ortolan_client import Client, HealthStatus
from tests import models
from tests.faulty_provider.faulty import Faulty
from tests.serving import RunningServer, running_server

LIMIT_S = 30.0


def adding(number: float, request_id: str = "", name: str = "x") -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name="add_one", id=request_id)
    request.inputs.add(name=name, datatype="FP32", shape=[1, 2])
    request.raw_input_contents.append(np.full((1, 2), number, np.float32).tobytes())
    return request


def value_of(message: pb.ModelStreamInferResponse) -> float:
    return float(np.frombuffer(message.infer_response.raw_output_contents[0], np.float32)[0])


def watch_health(channel: grpc.Channel, service: str) -> Any:
    watch = channel.unary_stream(
        "/grpc.health.v1.Health/Watch",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    return watch(health_pb2.HealthCheckRequest(service=service), timeout=LIMIT_S)


@pytest.fixture
def stub(server: RunningServer) -> Iterator[inference_pb2_grpc.GRPCInferenceServiceStub]:
    with grpc.insecure_channel(server.address) as channel:
        yield inference_pb2_grpc.GRPCInferenceServiceStub(channel)


def test_answers_come_in_order_past_the_window(stub: inference_pb2_grpc.GRPCInferenceServiceStub) -> None:
    requests = (adding(number, str(number)) for number in range(500))
    answers = list(stub.ModelStreamInfer(requests, timeout=LIMIT_S))
    assert [answer.infer_response.id for answer in answers] == [str(number) for number in range(500)]
    assert [value_of(answer) for answer in answers] == [number + 1 for number in range(500)]
    assert all(answer.infer_response.parameters["triton_final_response"].bool_param for answer in answers)


def test_an_error_is_in_band_and_the_stream_goes_on(stub: inference_pb2_grpc.GRPCInferenceServiceStub) -> None:
    requests = iter([adding(1, "a"), adding(2, "b", name="nothing"), adding(3, "c")])
    answers = list(stub.ModelStreamInfer(requests, timeout=LIMIT_S))
    assert [answer.infer_response.id for answer in answers] == ["a", "b", "c"]
    assert [bool(answer.error_message) for answer in answers] == [False, True, False]
    assert "nothing" in answers[1].error_message
    assert value_of(answers[2]) == 4


def test_a_real_status_on_request(stub: inference_pb2_grpc.GRPCInferenceServiceStub) -> None:
    requests = iter([adding(1), adding(2, name="nothing"), adding(3)])
    call = stub.ModelStreamInfer(requests, timeout=LIMIT_S, metadata=(("triton_grpc_error", "true"),))
    assert value_of(next(call)) == 2
    with pytest.raises(grpc.RpcError) as raised:
        next(call)
    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_an_empty_stream_ends_well(stub: inference_pb2_grpc.GRPCInferenceServiceStub) -> None:
    assert list(stub.ModelStreamInfer(iter([]), timeout=LIMIT_S)) == []


def test_open_watches_hold_no_threads(server: RunningServer) -> None:
    with grpc.insecure_channel(server.address) as channel:
        reflection = provider_reflection_pb2_grpc.ProviderReflectionStub(channel)
        watches = [watch_health(channel, "add_one") for _ in range(100)]
        assignments = [
            reflection.WatchAssignments(v1.WatchAssignmentsRequest(model="add_one"), timeout=LIMIT_S)
            for _ in range(100)
        ]
        assert {next(watch).status for watch in watches} == {health_pb2.HealthCheckResponse.SERVING}
        assert {next(watch).assignment.state for watch in assignments} == {"READY"}
        with Client(server.address) as client:
            assert client.health() is HealthStatus.SERVING
        for watch in (*watches, *assignments):
            watch.cancel()


def test_sigterm_finishes_what_is_in_flight(faulty: Faulty, tmp_path: Path) -> None:
    """A run that lasts as long as the test says, an open stream and two watches: these are told while it goes on."""
    folder = tmp_path / "models"
    models.save(models.add_one(), folder / "add_one")
    models.save(models.add_one(), folder / "held", toml=faulty.toml)
    with running_server(folder, env=faulty.environment) as server, grpc.insecure_channel(server.address) as channel:
        stub = inference_pb2_grpc.GRPCInferenceServiceStub(channel)
        reflection = provider_reflection_pb2_grpc.ProviderReflectionStub(channel)
        requests: queue.Queue[pb.ModelInferRequest] = queue.Queue()
        requests.put(adding(1))
        stream = stub.ModelStreamInfer(iter(requests.get, None), timeout=LIMIT_S)
        assert value_of(next(stream)) == 2
        watch = reflection.WatchAssignments(v1.WatchAssignmentsRequest(model="add_one"), timeout=LIMIT_S)
        assert next(watch).assignment.state == "READY"
        assert next(watch_health(channel, "")).status == health_pb2.HealthCheckResponse.SERVING
        faulty.commands.say("hang")
        held = adding(2)
        held.model_name = "held"
        running = stub.ModelInfer.future(held, timeout=LIMIT_S)
        faulty.commands.wait_for("hanging")
        status: list[int] = []
        stopper = threading.Thread(target=lambda: status.append(server.stop()))
        stopper.start()
        for open_call in (stream, watch):
            with pytest.raises(grpc.RpcError) as raised:
                next(open_call)
            assert raised.value.code() == grpc.StatusCode.UNAVAILABLE
        assert not running.done()
        faulty.commands.say("ok")
        assert running.result().raw_output_contents[0] == np.full(2, 3, np.float32).tobytes()
        stopper.join(LIMIT_S)
        assert status == [0]


SLOW_TO_TELL = """
import time
from ortolan_server.transport.watching import _Watcher
work = _Watcher._work
def work_later(self):
    time.sleep(0.2)
    work(self)
_Watcher._work = work_later
"""


def test_who_watches_assignments_hears_why_that_ends(repository: Path) -> None:
    with (
        running_server(repository / "add_one", before=SLOW_TO_TELL) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        reflection = provider_reflection_pb2_grpc.ProviderReflectionStub(channel)
        watch = reflection.WatchAssignments(v1.WatchAssignmentsRequest(), timeout=LIMIT_S)
        assert next(watch).assignment.state == "READY"
        assert server.stop() == 0
        with pytest.raises(grpc.RpcError, match="the server is stopping: watch again elsewhere"):
            next(watch)


def test_a_second_sigterm_ends_at_once(repository: Path) -> None:
    with running_server(repository) as server, grpc.insecure_channel(server.address) as channel:
        stub = inference_pb2_grpc.GRPCInferenceServiceStub(channel)
        request = pb.ModelInferRequest(model_name="countdown")
        request.inputs.add(name="n", datatype="INT64", shape=[])
        request.raw_input_contents.append(np.int64(10**15).tobytes())
        running = stub.ModelInfer.future(request, timeout=LIMIT_S)
        server.wait_for_runs(1)
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("server_draining")
        assert server.stop() == 128 + signal.SIGTERM
        assert running.code() == grpc.StatusCode.UNAVAILABLE


def test_who_watches_hears_of_the_end_while_calls_are_still_answered(repository: Path) -> None:
    """So that a client that balances by health can go elsewhere."""
    long = "from ortolan_server.transport import server; server._LEAVE_S = 600.0"
    with (
        running_server(repository, before=long) as server,
        grpc.insecure_channel(server.address) as channel,
        grpc.insecure_channel(server.address, [("grpc.use_local_subchannel_pool", 1)]) as new_connection,
    ):
        watch = watch_health(channel, "")
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        server.process.send_signal(signal.SIGTERM)
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        for each in (channel, new_connection):
            stub = inference_pb2_grpc.GRPCInferenceServiceStub(each)
            assert list(stub.ModelInfer(adding(1), timeout=LIMIT_S).outputs[0].shape) == [1, 2]
        assert server.stop() == 128 + signal.SIGTERM
