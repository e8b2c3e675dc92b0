"""Which handler answers which method, and which calls are refused before they take a thread."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

import grpc
from google.protobuf.message import Message

from ortolan.inference import inference_pb2
from ortolan.v1 import provider_reflection_pb2
from ortolan_server.errors import Overloaded
from ortolan_server.services.metadata import MetadataService
from ortolan_server.services.reflection import ReflectionService
from ortolan_server.services.rejections import Rejections
from ortolan_server.services.repository import RepositoryService
from ortolan_server.services.shared_memory import SharedMemoryService
from ortolan_server.services.statistics import StatisticsService
from ortolan_server.transport.messages import MessageReader
from ortolan_server.transport.pools import CallPool
from ortolan_server.transport.refusals import refusal
from ortolan_server.transport.status import abort, status_of

__all__ = [
    "HOT",
    "INFERENCE",
    "MODEL_INFER",
    "MODEL_STREAM_INFER",
    "REFLECTION",
    "Handler",
    "Router",
    "cold_handlers",
    "serialize",
    "shared_memory_handlers",
    "slow_handlers",
]

INFERENCE = inference_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name
MODEL_INFER = f"/{INFERENCE}/ModelInfer"
MODEL_STREAM_INFER = f"/{INFERENCE}/ModelStreamInfer"
REFLECTION = provider_reflection_pb2.DESCRIPTOR.services_by_name["ProviderReflection"].full_name

HOT = (MODEL_INFER, MODEL_STREAM_INFER)
"""Inferences, which the fast lane takes where it is on."""

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
M = TypeVar("M", bound=Message)


class Router(grpc.GenericRpcHandler):
    """Finds handlers by path.

    Handlers are not registered by gRPC's generated functions: a lane of our own has to see the path. A
    full pool is refused here, since gRPC would queue for it without bound.
    """

    def __init__(
        self, handlers: Mapping[str, Handler], bounded: Mapping[str, tuple[CallPool, str]], rejections: Rejections
    ) -> None:
        """`rejections` are of inferences."""
        self._handlers = handlers
        self._bounded = bounded
        self._rejections = rejections

    def service(self, details: grpc.HandlerCallDetails) -> "Handler | None":
        handler = self._handlers.get(details.method)
        bound = self._bounded.get(details.method)
        if bound is not None and bound[0].full:
            pool, text = bound
            error = Overloaded(text.format(pool.limit))
            if details.method in HOT:
                self._rejections.add(error)
            return refusal(*status_of(error))
        return handler


def cold_handlers(
    metadata: MetadataService,
    repository: RepositoryService,
    statistics: StatisticsService,
    reflection: ReflectionService,
    max_message_bytes: int,
) -> dict[str, Handler]:
    """Short unary calls, by path."""
    pb, ours = inference_pb2, provider_reflection_pb2

    def cold(behaviour: Callable[[M], Message], request: type[M]) -> Handler:
        return _unary(behaviour, MessageReader(request, max_message_bytes), None)

    inference = {
        "ServerLive": cold(metadata.server_live, pb.ServerLiveRequest),
        "ServerReady": cold(metadata.server_ready, pb.ServerReadyRequest),
        "ModelReady": cold(metadata.model_ready, pb.ModelReadyRequest),
        "ServerMetadata": cold(metadata.server_metadata, pb.ServerMetadataRequest),
        "ModelMetadata": cold(metadata.model_metadata, pb.ModelMetadataRequest),
        "ModelConfig": cold(metadata.model_config, pb.ModelConfigRequest),
        "ModelStatistics": cold(statistics.model_statistics, pb.ModelStatisticsRequest),
        "RepositoryIndex": cold(repository.index, pb.RepositoryIndexRequest),
    }
    providers = {
        "GetServer": cold(reflection.get_server, ours.GetServerRequest),
        "ListAssignments": cold(reflection.list_assignments, ours.ListAssignmentsRequest),
        "GetAssignment": cold(reflection.get_assignment, ours.GetAssignmentRequest),
    }
    return {
        **{f"/{INFERENCE}/{method}": handler for method, handler in inference.items()},
        **{f"/{REFLECTION}/{method}": handler for method, handler in providers.items()},
    }


def shared_memory_handlers(service: SharedMemoryService, max_message_bytes: int) -> dict[str, Handler]:
    """Short unary calls too, by path."""
    pb = inference_pb2

    def cold(behaviour: Callable[[M], Message], request: type[M]) -> Handler:
        return _unary(behaviour, MessageReader(request, max_message_bytes), None)

    handlers = {
        "SystemSharedMemoryStatus": cold(service.status, pb.SystemSharedMemoryStatusRequest),
        "SystemSharedMemoryRegister": cold(service.register, pb.SystemSharedMemoryRegisterRequest),
        "SystemSharedMemoryUnregister": cold(service.unregister, pb.SystemSharedMemoryUnregisterRequest),
        "CudaSharedMemoryStatus": cold(service.cuda_status, pb.CudaSharedMemoryStatusRequest),
        "CudaSharedMemoryRegister": cold(service.cuda_register, pb.CudaSharedMemoryRegisterRequest),
        "CudaSharedMemoryUnregister": cold(service.cuda_unregister, pb.CudaSharedMemoryUnregisterRequest),
    }
    return {f"/{INFERENCE}/{method}": handler for method, handler in handlers.items()}


def slow_handlers(
    repository: RepositoryService, reflection: ReflectionService, threads: CallPool, max_message_bytes: int
) -> dict[str, Handler]:
    """Unary calls that load models or look at hardware, by path: they must not keep health checks waiting."""
    pb, ours = inference_pb2, provider_reflection_pb2

    def slow(behaviour: Callable[[M], Message], request: type[M]) -> Handler:
        return _unary(behaviour, MessageReader(request, max_message_bytes), threads)

    return {
        f"/{INFERENCE}/RepositoryModelLoad": slow(repository.load, pb.RepositoryModelLoadRequest),
        f"/{INFERENCE}/RepositoryModelUnload": slow(repository.unload, pb.RepositoryModelUnloadRequest),
        f"/{REFLECTION}/ListProviders": slow(reflection.list_providers, ours.ListProvidersRequest),
        f"/{REFLECTION}/PlanAssignment": slow(reflection.plan_assignment, ours.PlanAssignmentRequest),
    }


def _unary(behaviour: Callable[[M], Message], read: MessageReader[M], threads: CallPool | None) -> Handler:
    def handle(data: bytes, context: grpc.ServicerContext) -> Message:
        try:
            return behaviour(read(data))
        except Exception as error:  # noqa: BLE001 - the table knows them all
            abort(context, error)

    if threads is not None:
        handle.experimental_thread_pool = threads  # type: ignore[attr-defined]
    return grpc.unary_unary_rpc_method_handler(handle, response_serializer=serialize)


def serialize(message: Message) -> bytes:
    """Any response as its bytes."""
    return message.SerializeToString()
