"""Every call of the client, said once: its method, its request, and how its answer is read. Nothing here sends it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

from google.protobuf.message import DecodeError, Message
from google.protobuf.wrappers_pb2 import Int32Value, StringValue
from numpy.typing import NDArray

from ortolan.inference import inference_pb2 as pb
from ortolan.inference.model_config_pb2 import ModelConfig
from ortolan.v1 import provider_reflection_pb2 as reflection
from ortolan_client._errors import BadAnswer
from ortolan_client._messages import Outputs, read_answer, version_text, write_request
from ortolan_client._regions import Region

__all__ = ["STREAM", "Call", "HealthStatus"]

_Result = TypeVar("_Result")
_Answer = TypeVar("_Answer", bound=Message)

STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"
"""The one call with many requests: a class of its own reads its answers."""


class HealthStatus(Enum):
    """What `grpc.health.v1.Health/Check` answers."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3


@dataclass(frozen=True, slots=True)
class Call(Generic[_Result]):
    """One call, or one that is answered with many messages."""

    method: str
    request: bytes
    read: Callable[[bytes], _Result]
    """What a message of the answer says. Raises BadAnswer."""
    about: str = ""
    """The model or service that errors are about."""


def _call(
    method: str, request: Message, answer: type[_Answer], take: Callable[[_Answer], _Result], about: str = ""
) -> Call[_Result]:
    def read(data: bytes) -> _Result:
        try:
            return take(answer.FromString(data))
        except DecodeError as error:
            name = answer.DESCRIPTOR.full_name
            raise BadAnswer(f"the answer is not a {name} message", code="INTERNAL", model=about) from error

    return Call(method, request.SerializeToString(), read, about)


def _v2(
    name: str, request: Message, answer: type[_Answer], take: Callable[[_Answer], _Result], about: str = ""
) -> Call[_Result]:
    return _call(f"/inference.GRPCInferenceService/{name}", request, answer, take, about)


def _reflect(
    name: str, request: Message, answer: type[_Answer], take: Callable[[_Answer], _Result], about: str = ""
) -> Call[_Result]:
    return _call(f"/ortolan.v1.ProviderReflection/{name}", request, answer, take, about)


def _same(answer: _Answer) -> _Answer:
    return answer


def _nothing(_: Message) -> None:
    return None


def infer(  # noqa: PLR0913 (what one request can say)
    model: str,
    arrays: Mapping[str, NDArray[Any]],
    version: str,
    outputs: Outputs,
    request_id: str,
    declared: Mapping[str, str],
    regions: Sequence[Region],
) -> Call[dict[str, NDArray[Any]]]:
    """Raises as `write_request()`."""
    request = write_request(
        model, arrays, version=version, outputs=outputs, request_id=request_id, declared=declared, regions=regions
    )
    return Call(
        "/inference.GRPCInferenceService/ModelInfer", request, lambda data: read_answer(data, model, regions), model
    )


def server_live() -> Call[bool]:
    return _v2("ServerLive", pb.ServerLiveRequest(), pb.ServerLiveResponse, lambda answer: answer.live)


def server_ready() -> Call[bool]:
    return _v2("ServerReady", pb.ServerReadyRequest(), pb.ServerReadyResponse, lambda answer: answer.ready)


def model_ready(model: str, version: str) -> Call[bool]:
    request = pb.ModelReadyRequest(name=model, version=version_text(version, model))
    return _v2("ModelReady", request, pb.ModelReadyResponse, lambda answer: answer.ready, model)


def server_metadata() -> Call[pb.ServerMetadataResponse]:
    return _v2("ServerMetadata", pb.ServerMetadataRequest(), pb.ServerMetadataResponse, _same)


def metadata(model: str, version: str) -> Call[pb.ModelMetadataResponse]:
    request = pb.ModelMetadataRequest(name=model, version=version_text(version, model))
    return _v2("ModelMetadata", request, pb.ModelMetadataResponse, _same, model)


def config(model: str, version: str) -> Call[ModelConfig]:
    request = pb.ModelConfigRequest(name=model, version=version_text(version, model))
    return _v2("ModelConfig", request, pb.ModelConfigResponse, lambda answer: answer.config, model)


def statistics(model: str, version: str) -> Call[list[pb.ModelStatistics]]:
    request = pb.ModelStatisticsRequest(name=model, version=version_text(version, model))
    return _v2("ModelStatistics", request, pb.ModelStatisticsResponse, lambda answer: list(answer.model_stats), model)


def index(*, ready: bool) -> Call[list[pb.RepositoryIndexResponse.ModelIndex]]:
    request = pb.RepositoryIndexRequest(ready=ready)
    return _v2("RepositoryIndex", request, pb.RepositoryIndexResponse, lambda answer: list(answer.models))


def load(model: str, config: str | None, files: Mapping[str, bytes], *, force: bool) -> Call[None]:
    request = pb.RepositoryModelLoadRequest(model_name=model)
    if config is not None:
        request.parameters["config"].string_param = config
    for path, content in files.items():
        request.parameters[f"file:{path}"].bytes_param = content
    if force:
        request.parameters["ortolan_force"].bool_param = True
    return _v2("RepositoryModelLoad", request, pb.RepositoryModelLoadResponse, _nothing, model)


def unload(model: str) -> Call[None]:
    request = pb.RepositoryModelUnloadRequest(model_name=model)
    return _v2("RepositoryModelUnload", request, pb.RepositoryModelUnloadResponse, _nothing, model)


def register_region(name: str, key: str, size_bytes: int) -> Call[None]:
    request = pb.SystemSharedMemoryRegisterRequest(name=name, key=key, byte_size=size_bytes)
    return _v2("SystemSharedMemoryRegister", request, pb.SystemSharedMemoryRegisterResponse, _nothing)


def unregister_region(name: str) -> Call[None]:
    request = pb.SystemSharedMemoryUnregisterRequest(name=name)
    return _v2("SystemSharedMemoryUnregister", request, pb.SystemSharedMemoryUnregisterResponse, _nothing)


def health(service: str) -> Call[HealthStatus]:
    """`grpc.health.v1` without its package, which is no part of the base install.

    On the wire HealthCheckRequest is one string in field 1 and HealthCheckResponse one enum in field 1, which is what
    protobuf's own StringValue and Int32Value are.
    """
    request = StringValue(value=service)
    return _call("/grpc.health.v1.Health/Check", request, Int32Value, _health_status, service)


def _health_status(said: Int32Value) -> HealthStatus:
    try:
        return HealthStatus(said.value)
    except ValueError as error:
        raise BadAnswer(f"{said.value} is no status of grpc.health.v1", code="INTERNAL") from error


def server() -> Call[reflection.GetServerResponse]:
    return _reflect("GetServer", reflection.GetServerRequest(), reflection.GetServerResponse, _same)


def providers(names: Sequence[str], *, refresh: bool) -> Call[list[reflection.Provider]]:
    request = reflection.ListProvidersRequest(names=names, refresh=refresh)
    return _reflect("ListProviders", request, reflection.ListProvidersResponse, lambda answer: list(answer.providers))


def assignments(model: str) -> Call[list[reflection.AssignmentSummary]]:
    request = reflection.ListAssignmentsRequest(model=model)
    answer = reflection.ListAssignmentsResponse
    return _reflect("ListAssignments", request, answer, lambda answer: list(answer.assignments), model)


def assignment(model: str, version: str, *, omit_nodes: bool) -> Call[reflection.Assignment]:
    request = reflection.GetAssignmentRequest(model=model, version=version_text(version, model), omit_nodes=omit_nodes)
    answer = reflection.GetAssignmentResponse
    return _reflect("GetAssignment", request, answer, lambda answer: answer.assignment, model)


def watch(model: str) -> Call[reflection.AssignmentSummary]:
    request = reflection.WatchAssignmentsRequest(model=model)
    answer = reflection.WatchAssignmentsResponse
    return _reflect("WatchAssignments", request, answer, lambda answer: answer.assignment, model)


def plan(
    model: str, version: str, chain: Iterable[str | reflection.Rung], *, omit_nodes: bool
) -> Call[reflection.Assignment]:
    rungs = [reflection.Rung(provider=rung) if isinstance(rung, str) else rung for rung in chain]
    request = reflection.PlanAssignmentRequest(
        model=model, version=version_text(version, model), chain=rungs, omit_nodes=omit_nodes
    )
    answer = reflection.PlanAssignmentResponse
    return _reflect("PlanAssignment", request, answer, lambda answer: answer.assignment, model)
