"""gRPC server reflection, as generic clients use it."""

import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_reflection.v1alpha import reflection_pb2 as rpb

from tests.serving import RunningServer

LIMIT_S = 30.0
VERSIONS = ("v1", "v1alpha")
SERVICES = {
    "ortolan.v1.ProviderReflection",
    "inference.GRPCInferenceService",
    "grpc.health.v1.Health",
    "grpc.channelz.v1.Channelz",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
}

Ask = Callable[..., rpb.ServerReflectionResponse]


@pytest.fixture(params=VERSIONS)
def ask(server: RunningServer, request: pytest.FixtureRequest) -> Iterator[Ask]:
    """One question over one version of the protocol; their messages are the same but for the package."""
    with grpc.insecure_channel(server.address) as channel:
        call = channel.stream_stream(
            f"/grpc.reflection.{request.param}.ServerReflection/ServerReflectionInfo",
            request_serializer=rpb.ServerReflectionRequest.SerializeToString,
            response_deserializer=rpb.ServerReflectionResponse.FromString,
        )

        def question(**fields: Any) -> rpb.ServerReflectionResponse:
            (answer,) = call(iter([rpb.ServerReflectionRequest(**fields)]), timeout=LIMIT_S)
            assert isinstance(answer, rpb.ServerReflectionResponse)
            return answer

        yield question


def files(answer: rpb.ServerReflectionResponse) -> descriptor_pool.DescriptorPool:
    """A pool of the files that came, which a client can only make when all that they need came too."""
    assert not answer.HasField("error_response"), answer.error_response
    pool = descriptor_pool.DescriptorPool()
    waiting = {
        file.name: file
        for data in answer.file_descriptor_response.file_descriptor_proto
        for file in [descriptor_pb2.FileDescriptorProto.FromString(data)]
    }

    def add(name: str) -> None:
        file = waiting.pop(name, None)
        if file is not None:
            for needed in file.dependency:
                add(needed)
            pool.Add(file)

    for name in list(waiting):
        add(name)
    return pool


def test_every_service_is_listed(ask: Ask) -> None:
    listed = {service.name for service in ask(list_services="").list_services_response.service}
    assert listed == SERVICES


@pytest.mark.parametrize(
    ("service", "method"),
    [
        ("ortolan.v1.ProviderReflection", "GetAssignment"),
        ("inference.GRPCInferenceService", "ModelInfer"),
        ("grpc.health.v1.Health", "Watch"),
        ("grpc.channelz.v1.Channelz", "GetServers"),
        ("grpc.reflection.v1.ServerReflection", "ServerReflectionInfo"),
        ("grpc.reflection.v1alpha.ServerReflection", "ServerReflectionInfo"),
    ],
)
def test_every_service_can_be_described(ask: Ask, service: str, method: str) -> None:
    pool = files(ask(file_containing_symbol=service))
    found = pool.FindServiceByName(service).methods_by_name[method]
    assert found.input_type.fields
    package = service.rpartition(".")[0]
    assert found.output_type.full_name.startswith(f"{package}.")


def test_messages_can_be_described(ask: Ask) -> None:
    pool = files(ask(file_containing_symbol="ortolan.v1.Assignment"))
    loaded_at = pool.FindMessageTypeByName("ortolan.v1.Assignment").fields_by_name["loaded_at"]
    assert loaded_at.message_type is not None
    assert loaded_at.message_type.full_name == "google.protobuf.Timestamp"


def test_files_can_be_asked_for_by_name(ask: Ask) -> None:
    pool = files(ask(file_by_filename="ortolan/inference/inference.proto"))
    assert "raw_input_contents" in pool.FindMessageTypeByName("inference.ModelInferRequest").fields_by_name


def test_what_is_not_there(ask: Ask) -> None:
    for question in ({"file_containing_symbol": "no.such.Thing"}, {"file_by_filename": "no/such.proto"}):
        assert ask(**question).error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


@pytest.mark.parametrize(
    ("symbol", "told"),
    [
        ("ortolan.v1.ProviderReflection", "rpc WatchAssignments"),
        ("inference.GRPCInferenceService", "rpc ModelStreamInfer"),
        ("grpc.reflection.v1.ServerReflection", "rpc ServerReflectionInfo"),
        ("ortolan.v1.ProviderShare", "double parameter_share"),
    ],
)
def test_grpcurl_describes(server: RunningServer, toolchain: Callable[[str], str], symbol: str, told: str) -> None:
    command = [toolchain("grpcurl"), "-plaintext", server.address, "describe", symbol]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    assert done.returncode == 0, done.stderr
    assert told in done.stdout
