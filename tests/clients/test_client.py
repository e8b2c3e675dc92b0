"""Each call asks what it should and gives what came."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import ortolan_client
from ortolan.inference import inference_pb2 as v2
from ortolan.v1 import provider_reflection_pb2 as reflection
from ortolan_client import BadAnswer, Client, HealthStatus, InvalidInput, NotAllowed
from tests.clients.canned import PROPERTIES, CannedServer


def test_public_names_are_pinned() -> None:
    assert ortolan_client.__all__ == [
        "AsyncClient",
        "AsyncInferStream",
        "AsyncModel",
        "AsyncSharedMemory",
        "BadAnswer",
        "Bulk",
        "BulkChunk",
        "BulkOptions",
        "BulkProgress",
        "BulkRow",
        "Cancelled",
        "Client",
        "DeadlineExceeded",
        "HealthStatus",
        "InferError",
        "InferStream",
        "InvalidInput",
        "MessageTooLarge",
        "Model",
        "NotAllowed",
        "NotFound",
        "NotSupported",
        "OrtolanClientError",
        "Overloaded",
        "ServerError",
        "SharedMemory",
        "TensorSpec",
        "Tls",
        "Unavailable",
    ]
    assert all(hasattr(ortolan_client, name) for name in ortolan_client.__all__)


def test_infer_sends_what_was_asked(client: Client, canned: CannedServer) -> None:
    x = np.arange(4, dtype=np.float32)
    answer = client.infer("echo", {"a": x, "b": x + 1}, version="3", outputs=["b"], request_id="seven")
    assert list(answer) == ["b"]
    np.testing.assert_array_equal(answer["b"], x + 1)
    sent = canned.requests[-1]
    assert (sent.model_name, sent.model_version, sent.id) == ("echo", "3", "seven")
    assert [output.name for output in sent.outputs] == ["b"]


def test_infer_computes(client: Client) -> None:
    left, right = np.arange(8, dtype=np.int32).reshape(2, 4), np.full((2, 4), 5, np.int32)
    np.testing.assert_array_equal(client.infer("simple", {"INPUT0": left, "INPUT1": right})["SUM"], left + right)


def test_server_calls(client: Client) -> None:
    assert client.server_live() is True
    assert client.server_ready() is False
    assert client.server_metadata().version == "9.9"
    assert client.server().onnxruntime_package == "onnxruntime"
    assert client.server().limits.max_message_bytes == 4 * 1024 * 1024


def test_model_calls(client: Client, canned: CannedServer) -> None:
    assert client.model_ready("simple") is True
    assert client.model_ready("simple", "2") is False
    assert dict(client.metadata("simple", "1").properties) == PROPERTIES
    assert client.config("simple").backend == "onnxruntime"
    assert [statistic.name for statistic in client.statistics()] == ["echo", "simple", "words"]
    assert [statistic.name for statistic in client.statistics("words", "1")] == ["words"]
    assert canned.requests[-1] == v2.ModelStatisticsRequest(name="words", version="1")
    assert [model.name for model in client.index()] == ["echo", "simple", "words", "gone"]
    assert [model.name for model in client.index(ready=True)] == ["echo", "simple", "words"]
    client.unload("simple")
    assert canned.requests[-1] == v2.RepositoryModelUnloadRequest(model_name="simple")


def test_what_a_load_is_asked_for_goes_as_tritons_clients_send_it(client: Client, canned: CannedServer) -> None:
    with pytest.raises(NotAllowed):
        client.load("simple", config="[limits]", files={"1/model.onnx": b"bytes"}, force=True)
    wanted = v2.RepositoryModelLoadRequest(model_name="simple")
    wanted.parameters["config"].string_param = "[limits]"
    wanted.parameters["file:1/model.onnx"].bytes_param = b"bytes"
    wanted.parameters["ortolan_force"].bool_param = True
    assert canned.requests[-1] == wanted
    with pytest.raises(NotAllowed):
        client.load("simple")
    assert canned.requests[-1] == v2.RepositoryModelLoadRequest(model_name="simple")


def test_health_speaks_the_standard_protocol(client: Client) -> None:
    assert client.health() is HealthStatus.NOT_SERVING
    assert client.health("simple") is HealthStatus.SERVING
    assert client.health("words") is HealthStatus.UNKNOWN
    with pytest.raises(BadAnswer, match=r"9 is no status of grpc\.health\.v1"):
        client.health("later")


def test_health_agrees_with_the_published_messages() -> None:
    health_pb2 = pytest.importorskip("grpc_health.v1.health_pb2")
    published = health_pb2.HealthCheckResponse.ServingStatus
    assert {status.name: status.value for status in HealthStatus} == dict(published.items())


def test_reflection_calls(client: Client, canned: CannedServer) -> None:
    canned.assignments.append(reflection.Assignment(model="simple", serving_provider="cuda"))
    canned.summaries.append(reflection.AssignmentSummary(model="simple", node_share=0.5))
    assert [provider.name for provider in client.providers()] == ["cpu", "cuda"]
    assert [provider.name for provider in client.providers(["cuda"], refresh=True)] == ["cuda"]
    assert canned.requests[-1].refresh
    assert client.assignments()[0].node_share == 0.5
    assert client.assignment("simple", omit_nodes=True).serving_provider == "cuda"
    assert canned.requests[-1].omit_nodes
    rung = reflection.Rung(provider="cuda", options={"device_id": "1"})
    planned = client.plan("simple", "2", chain=[rung, "cpu"])
    assert (planned.model, planned.version) == ("simple", "2")
    assert list(planned.chain) == [rung, reflection.Rung(provider="cpu")]


def test_watch_gives_the_present_and_then_changes(client: Client, canned: CannedServer) -> None:
    canned.summaries.append(reflection.AssignmentSummary(model="simple", state="LOADING"))
    watched = client.watch()
    assert next(watched).state == "LOADING"
    canned.changes.put(reflection.AssignmentSummary(model="simple", state="READY"))
    assert next(watched).state == "READY"
    watched.close()
    assert canned.stream_ended.get(timeout=30) == "ended"


def test_a_closed_client_takes_no_calls(canned: CannedServer) -> None:
    client = Client(canned.address)
    client.close()
    client.close()
    calls = (client.server_live, lambda: next(client.watch()), lambda: client.stream("simple", []))
    for call in (*calls, lambda: client.submit("simple", {})):
        with pytest.raises(ValueError, match="closed"):
            call()


def test_the_base_install_is_enough() -> None:
    """The client loads nothing but grpcio, protobuf and numpy, and lives beside tritonclient's messages."""
    script = (
        "import sys; import ortolan_client; "
        "foreign = {'pydantic', 'structlog', 'onnx', 'onnxruntime', 'typer', 'rich'}; "
        "print(sorted(foreign & sys.modules.keys()), [m for m in sys.modules if m.startswith('ortolan_server')]); "
        "import tritonclient.grpc"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=240)
    assert (done.returncode, done.stdout) == (0, "[] []\n"), done.stderr


def test_a_version_is_text(client: Client) -> None:
    number: Any = 1
    for ask in (client.metadata, client.config, client.model_ready, client.assignment, client.plan, client.model):
        with pytest.raises(InvalidInput, match="a version is text, '1', not int"):
            ask("m", number)
    with pytest.raises(InvalidInput, match="a version is text, '1', not int"):
        client.infer("m", {"x": [1.0]}, version=number)


def test_outputs_are_not_one_name(client: Client) -> None:
    with pytest.raises(InvalidInput, match=r"a sequence of names, as \['label'\], not one"):
        client.infer("m", {"x": [1.0]}, outputs="label")
