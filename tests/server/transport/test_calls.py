"""Deadlines, cancellation, bounds and health of a running server, seen from outside."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from ortolan.inference import inference_pb2 as pb
from ortolan.inference import inference_pb2_grpc
from ortolan_client import (
    Client,
    DeadlineExceeded,
    HealthStatus,
    MessageTooLarge,
    NotAllowed,
    NotFound,
    Overloaded,
)
from tests import models
from tests.server.transport.conftest import ENDLESS
from tests.serving import RunningServer, running_server

LIMIT_S = 60.0


def counting(n: int) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name="countdown")
    request.inputs.add(name="n", datatype="INT64", shape=[])
    request.raw_input_contents.append(np.int64(n).tobytes())
    return request


@contextmanager
def raw(address: str) -> Iterator[inference_pb2_grpc.GRPCInferenceServiceStub]:
    with grpc.insecure_channel(address) as channel:
        yield inference_pb2_grpc.GRPCInferenceServiceStub(channel)


def hold(start: Callable[[], Any], count: int, probe: Callable[[], object], text: str) -> list[Any]:
    """Keeps `count` calls open until `probe` is refused with `text`; those that lost their place to it start again."""
    calls = [start() for _ in range(count)]
    give_up_s = time.monotonic() + LIMIT_S
    while time.monotonic() < give_up_s:
        if text in details(probe):
            return calls
        calls = [start() if call.done() else call for call in calls]
    pytest.fail(f"not refused within {LIMIT_S} s: {text}")


def details(call: Callable[[], object]) -> str:
    """What the server says against a call; empty when it is answered."""
    try:
        call()
    except grpc.RpcError as error:
        return str(error.details())
    return ""


def test_an_endless_run_ends_at_its_deadline_and_frees_the_worker(client: Client) -> None:
    with pytest.raises(DeadlineExceeded):
        client.infer("countdown", {"n": np.int64(ENDLESS)}, timeout_s=0.3)
    assert client.infer("countdown", {"n": np.int64(3)})["y"] == 3.0


def test_a_cancelled_run_is_stopped(server: RunningServer, client: Client) -> None:
    with raw(server.address) as stub:
        running = stub.ModelInfer.future(counting(ENDLESS), timeout=LIMIT_S)
        server.wait_for_runs(1)
        running.cancel()
    assert client.infer("countdown", {"n": np.int64(2)}, timeout_s=LIMIT_S)["y"] == 2.0


def test_a_full_queue_is_an_answer(server: RunningServer, client: Client) -> None:
    with raw(server.address) as stub:

        def probe() -> object:
            return stub.ModelInfer(counting(1), timeout=0.3)

        def endless() -> Any:
            return stub.ModelInfer.future(counting(ENDLESS), timeout=LIMIT_S)

        full = "`queue` in [limits]"
        for call in hold(endless, 2, probe, full):
            call.cancel()
        give_up_s = time.monotonic() + LIMIT_S
        while full in details(lambda: stub.ModelInfer(counting(1), timeout=LIMIT_S)) and time.monotonic() < give_up_s:
            pass  # the server hears of the ends after us
    assert client.infer("countdown", {"n": np.int64(1)}, timeout_s=LIMIT_S)["y"] == 1.0


def test_a_message_over_the_limit_names_the_flag(repository: Path) -> None:
    with (
        running_server(repository / "add_one", "--max-message-size", "64KiB") as server,
        Client(server.address) as client,
    ):
        with pytest.raises(MessageTooLarge, match="--max-message-size"):
            client.infer("add_one", {"x": np.zeros((10_000, 2), np.float32)})
        assert client.infer("add_one", {"x": np.zeros((100, 2), np.float32)})["y"].sum() == 200
        assert client.server().limits.max_message_bytes == 64 << 10


def test_control_can_be_switched_off(repository: Path) -> None:
    with (
        running_server(repository / "add_one", "--deny-control") as server,
        Client(server.address) as client,
    ):
        for call in (client.load, client.unload, client.plan):
            with pytest.raises(NotAllowed, match="--allow-control"):
                call("add_one")
        with pytest.raises(NotAllowed, match="--allow-control"):
            client.providers(refresh=True)
        # Asked for again and again, a family is probed and answered once.
        assert [provider.name for provider in client.providers(["cpu"] * 10_000)] == ["cpu"]


def test_too_many_calls_are_refused(repository: Path) -> None:
    with (
        running_server(repository / "countdown", "--max-in-flight", "1", "--max-streams", "1") as server,
        raw(server.address) as stub,
    ):
        stop = threading.Event()

        def until_stopped() -> Iterator[pb.ModelInferRequest]:
            stop.wait(LIMIT_S)
            yield from ()

        calls = hold(
            lambda: stub.ModelInfer.future(counting(ENDLESS), timeout=LIMIT_S),
            1,
            lambda: stub.ModelInfer(counting(1), timeout=0.3),
            "--max-in-flight",
        )
        streams = hold(
            lambda: stub.ModelStreamInfer(until_stopped(), timeout=LIMIT_S),
            1,
            lambda: list(stub.ModelStreamInfer(iter([]), timeout=0.3)),
            "--max-streams",
        )
        stop.set()
        for call in (*calls, *streams):
            call.cancel()


def test_streams_give_their_bytes_back(repository: Path) -> None:
    """More bytes go over one stream than may be in flight at once, and none is refused."""
    sizes = ("--max-message-size", "64KiB", "--max-in-flight-size", "64KiB")
    with running_server(repository / "add_one", *sizes) as server, raw(server.address) as stub:
        request = pb.ModelInferRequest(model_name="add_one")
        request.inputs.add(name="x", datatype="FP32", shape=[4000, 2])
        request.raw_input_contents.append(bytes(4000 * 2 * 4))

        def one_after_the_other() -> Iterator[pb.ModelInferRequest]:
            for _ in range(10):
                yield request
                answered.acquire(timeout=LIMIT_S)

        answered = threading.Semaphore(0)
        answers = []
        for answer in stub.ModelStreamInfer(one_after_the_other(), timeout=LIMIT_S):
            answers.append(answer.error_message)
            answered.release()
        assert answers == [""] * 10


def test_outputs_that_no_message_can_carry_are_an_answer(tmp_path: Path) -> None:
    models.save(models.constant_of_shape(), tmp_path / "zeros")
    with running_server(tmp_path) as server, Client(server.address) as client:
        with pytest.raises(Overloaded, match="the outputs have 2147483648 bytes together"):
            client.infer("zeros", {"shape": np.array([1 << 29])})
        assert client.infer("zeros", {"shape": np.array([3])})["y"].tolist() == [0, 0, 0]
        (counts,) = client.statistics("zeros")
        assert (counts.inference_stats.success.count, counts.inference_stats.fail.count) == (1, 1)


def test_health_follows_models_and_contracts(client: Client) -> None:
    serving, not_serving = HealthStatus.SERVING, HealthStatus.NOT_SERVING
    expected = {
        "": serving,
        "inference.GRPCInferenceService": serving,
        "add_one": serving,
        "add_one/1": serving,
        "add_one#contract": serving,
        "degraded": serving,
        "degraded#contract": not_serving,
        "broken": not_serving,
        "broken/1": not_serving,
        "broken#contract": not_serving,
    }
    assert {service: client.health(service) for service in expected} == expected
    with pytest.raises(NotFound, match="no service 'nothing'"):
        client.health("nothing")


def test_verdicts_are_the_same_everywhere(client: Client) -> None:
    broken, degraded = client.assignment("broken"), client.assignment("degraded")
    assert (broken.state, broken.serving_rung) == ("FAILED", 0)
    assert (degraded.state, degraded.serving_provider) == ("DEGRADED", "cpu")
    assert [type(broken.verdict).State.Name(it.verdict.state) for it in (broken, degraded)] == ["BROKEN", "DEGRADED"]
    assert any("1 Add" in reason for reason in broken.verdict.reasons)
    assert client.metadata("degraded").properties["ortolan.verdict"] == "DEGRADED"
    states = {row.name: row.state for row in client.index()}
    assert states == {"add_one": "READY", "broken": "FAILED", "countdown": "READY", "degraded": "DEGRADED"}
    assert not client.model_ready("broken")
    assert client.model_ready("degraded")


def test_a_model_is_unloaded_and_loaded_again(repository: Path, tmp_path: Path) -> None:
    folder = tmp_path / "add_one"
    models.save(models.add_one(), folder)
    with running_server(tmp_path) as server, Client(server.address) as client:
        events = client.watch("add_one")
        assert next(events).state == "READY"
        client.unload("add_one")
        assert [next(events).state for _ in range(2)] == ["DRAINING", "UNLOADED"]
        assert not client.model_ready("add_one")
        assert not client.server_ready()
        client.load("add_one")
        assert client.infer("add_one", {"x": np.zeros((1, 2), np.float32)})["y"].tolist() == [[1, 1]]
        # A broken file is refused, and what serves goes on serving and says why.
        (folder / "1" / "model.onnx").write_bytes(b"nonsense")
        with pytest.raises(Exception, match="not a readable ONNX model"):
            client.load("add_one")
        assert client.infer("add_one", {"x": np.zeros((1, 2), np.float32)})["y"].tolist() == [[1, 1]]
        assert "reload was refused" in client.index()[0].reason


def test_a_second_server_on_the_same_address_says_so(server: RunningServer, repository: Path) -> None:
    with (
        pytest.raises(AssertionError, match="in use"),
        running_server(repository, "--grpc-address", server.address),
    ):
        pass
