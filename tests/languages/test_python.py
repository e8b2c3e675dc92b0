"""The shared vectors through our own client, and through the stubs that Triton ships."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray

from ortolan_client import Client, InferError, NotFound, OrtolanClientError
from tests.languages.vectors import VECTORS, Vector, array_of, raw_of

TIMEOUT_S = 30.0


def cases(group: str, wanted: Callable[[Vector], bool] = lambda _: True) -> pytest.MarkDecorator:
    """`case`: each vector of that group, or those that are wanted."""
    found = [case for case in VECTORS[group] if wanted(case)]
    assert found
    return pytest.mark.parametrize("case", found, ids=[case.get("name") or name_of(case) for case in found])


def name_of(case: Vector) -> str:
    return str(case.get("model") or case["service"] or "server")


def expect(outputs: list[Vector], came: Mapping[str, NDArray[Any]]) -> None:
    """The arrays are those of the vector, bit for bit."""
    assert list(came) == [tensor["name"] for tensor in outputs]
    for tensor, array in zip(outputs, came.values(), strict=True):
        assert list(array.shape) == tensor["shape"]
        if tensor["datatype"] == "BYTES":
            assert array.ravel().tolist() == [text.encode() for text in tensor["values"]]
        else:
            assert array.tobytes() == raw_of(tensor)


def arrays(inputs: list[Vector]) -> dict[str, NDArray[Any]]:
    return {tensor["name"]: array_of(tensor) for tensor in inputs}


@pytest.fixture(scope="module")
def client(server_env: Mapping[str, str]) -> Iterator[Client]:
    with Client(server_env["ORTOLAN_ADDRESS"], timeout_s=TIMEOUT_S) as connected:
        yield connected


class TestOrtolanClient:
    @cases("infer")
    def test_infer(self, client: Client, case: Vector) -> None:
        came = client.infer(case["model"], arrays(case["inputs"]), version=case["version"])
        expect(case["outputs"], came)

    # What numpy cannot hold, its bytes being others than its shape takes, goes through the stubs below.
    @cases("failures", lambda case: all("values" in tensor for tensor in case["inputs"]))
    def test_failure(self, client: Client, case: Vector) -> None:
        calls: dict[str, Callable[[str, str], object]] = {
            "ModelInfer": lambda model, version: client.infer(model, arrays(case["inputs"]), version=version),
            "ModelMetadata": client.metadata,
            "ModelReady": client.model_ready,
            "GetAssignment": client.assignment,
        }
        with pytest.raises(OrtolanClientError) as raised:
            calls[case["rpc"]](case["model"], case["version"])
        assert raised.value.code == case["code"]
        assert case["text"] in raised.value.message

    @cases("streams")
    def test_stream(self, client: Client, case: Vector) -> None:
        with client.stream(case["model"], (arrays(item["inputs"]) for item in case["items"])) as stream:
            for item in case["items"]:
                if "error" in item:
                    with pytest.raises(InferError, match=item["error"]):
                        next(stream)
                else:
                    expect(item["outputs"], next(stream))
            assert list(stream) == []

    @cases("health")
    def test_health(self, client: Client, case: Vector) -> None:
        if "code" in case:
            with pytest.raises(NotFound) as raised:
                client.health(case["service"])
            assert raised.value.code == case["code"]
        else:
            assert client.health(case["service"]).name == case["status"]

    @cases("ready")
    def test_ready(self, client: Client, case: Vector) -> None:
        assert client.model_ready(case["model"]) is case["ready"]

    @cases("metadata")
    def test_metadata(self, client: Client, case: Vector) -> None:
        came = client.metadata(case["model"])
        assert declared(came.inputs) == case["inputs"]
        assert declared(came.outputs) == case["outputs"]

    @cases("assignments")
    def test_assignment(self, client: Client, case: Vector) -> None:
        (row,) = client.assignments(case["model"])
        came = {key: getattr(row, key) for key in case.keys() - {"verdict", "nodes"}}
        came |= {"verdict": client.assignment(case["model"]).verdict.State.Name(row.verdict), "nodes": dict(row.nodes)}
        assert came == case


def declared(tensors: Any) -> list[Vector]:
    return [{"name": it.name, "datatype": it.datatype, "shape": list(it.shape)} for it in tensors]


@pytest.fixture(scope="module")
def messages() -> Any:
    return pytest.importorskip("tritonclient.grpc.service_pb2")


@pytest.fixture(scope="module")
def stub(server_env: Mapping[str, str]) -> Iterator[Any]:
    stubs = pytest.importorskip("tritonclient.grpc.service_pb2_grpc")
    with grpc.insecure_channel(server_env["ORTOLAN_ADDRESS"]) as channel:
        yield stubs.GRPCInferenceServiceStub(channel)


class TestTritonStubs:
    """What speaks the protocol by stubs of another's, with raw contents."""

    @cases("infer")
    def test_infer(self, stub: Any, messages: Any, case: Vector) -> None:
        response = stub.ModelInfer(request(messages, case), timeout=TIMEOUT_S)
        expect_raw(case["outputs"], response)

    @cases("failures", lambda case: case["rpc"] != "GetAssignment")
    def test_failure(self, stub: Any, messages: Any, case: Vector) -> None:
        message = {
            "ModelInfer": lambda: request(messages, case),
            "ModelMetadata": lambda: messages.ModelMetadataRequest(name=case["model"], version=case["version"]),
            "ModelReady": lambda: messages.ModelReadyRequest(name=case["model"], version=case["version"]),
        }[case["rpc"]]()
        with pytest.raises(grpc.RpcError) as raised:
            getattr(stub, case["rpc"])(message, timeout=TIMEOUT_S)
        assert raised.value.code().name == case["code"]
        assert case["text"] in (raised.value.details() or "")

    @cases("streams")
    def test_stream(self, stub: Any, messages: Any, case: Vector) -> None:
        requests = (request(messages, {**item, "model": case["model"]}) for item in case["items"])
        answers = list(stub.ModelStreamInfer(requests, timeout=TIMEOUT_S))
        assert len(answers) == len(case["items"])
        for item, answer in zip(case["items"], answers, strict=True):
            if "error" in item:
                assert item["error"] in answer.error_message
            else:
                assert not answer.error_message
                expect_raw(item["outputs"], answer.infer_response)

    @cases("ready")
    def test_ready(self, stub: Any, messages: Any, case: Vector) -> None:
        response = stub.ModelReady(messages.ModelReadyRequest(name=case["model"]), timeout=TIMEOUT_S)
        assert response.ready is case["ready"]

    @cases("metadata")
    def test_metadata(self, stub: Any, messages: Any, case: Vector) -> None:
        response = stub.ModelMetadata(messages.ModelMetadataRequest(name=case["model"]), timeout=TIMEOUT_S)
        assert declared(response.inputs) == case["inputs"]
        assert declared(response.outputs) == case["outputs"]


def request(messages: Any, case: Vector) -> Any:
    message = messages.ModelInferRequest(model_name=case["model"], model_version=case.get("version", ""))
    for tensor in case["inputs"]:
        message.inputs.add(name=tensor["name"], datatype=tensor["datatype"], shape=tensor["shape"])
        message.raw_input_contents.append(raw_of(tensor))
    return message


def expect_raw(outputs: list[Vector], response: Any) -> None:
    assert declared(response.outputs) == [
        {"name": tensor["name"], "datatype": tensor["datatype"], "shape": tensor["shape"]} for tensor in outputs
    ]
    assert list(response.raw_output_contents) == [raw_of(tensor) for tensor in outputs]


def test_values_and_bytes_of_a_vector_agree() -> None:
    tensors = [tensor for case in VECTORS["infer"] for tensor in case["inputs"] if tensor["datatype"] != "BYTES"]
    for tensor in tensors:
        assert array_of(tensor).tobytes() == np.frombuffer(raw_of(tensor), np.uint8).tobytes()
