"""gRPC server reflection, v1 and v1alpha, over our descriptor pool and the default one."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_reflection.v1alpha import reflection, reflection_pb2

from ortolan.pool import POOL
from ortolan_server.errors import OrtolanError
from ortolan_server.transport.messages import MessageReader
from ortolan_server.transport.routes import Handler, serialize
from ortolan_server.transport.status import abort

__all__ = ["reflection_handlers"]

V1ALPHA = "grpc.reflection.v1alpha.ServerReflection"
V1 = "grpc.reflection.v1.ServerReflection"


class _Pools:
    """Asks our pool first, then the default one, where health and channelz are."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def find(*arguments: Any) -> Any:  # noqa: ANN401 - as in protobuf
            try:
                return getattr(POOL, name)(*arguments)
            except KeyError:
                return getattr(descriptor_pool.Default(), name)(*arguments)

        return find


def reflection_handlers(
    services: Sequence[str], threads: ThreadPoolExecutor, max_message_bytes: int
) -> dict[str, Handler]:
    """Handlers by path: the two versions of the protocol differ in nothing but their package."""
    _describe_v1()
    servicer = reflection.ReflectionServicer([*services, V1, V1ALPHA], pool=_Pools())

    read = MessageReader(reflection_pb2.ServerReflectionRequest, max_message_bytes)

    def parsed(messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[Any]:
        for data in messages:
            try:
                yield read(data)
            except OrtolanError as error:
                abort(context, error)

    def answer(messages: Iterator[bytes], context: grpc.ServicerContext) -> Any:  # noqa: ANN401 - as in grpc
        return servicer.ServerReflectionInfo(parsed(messages, context), context)

    # Clients keep the stream open while they call: it must not take a thread from short calls.
    answer.experimental_thread_pool = threads  # type: ignore[attr-defined]
    # Without a deserializer of gRPC's: a message that one refuses in a stream can have gRPC send two statuses, of which
    # the second never ends, and with it the server never stops (seen with grpcio 1.85, once in some twenty times).
    handler: Handler = grpc.stream_stream_rpc_method_handler(
        answer,
        response_serializer=serialize,
    )
    return {f"/{service}/ServerReflectionInfo": handler for service in (V1, V1ALPHA)}


def _describe_v1() -> None:
    """Makes v1 known to our pool, so that a client can describe it too."""
    file = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(file)
    file.name = file.name.replace("v1alpha", "v1")
    file.package = file.package.replace("v1alpha", "v1")
    for message in file.message_type:
        for field in (field for field in message.field if field.type_name):
            field.type_name = field.type_name.replace("v1alpha", "v1")
    for service in file.service:
        for method in service.method:
            method.input_type = method.input_type.replace("v1alpha", "v1")
            method.output_type = method.output_type.replace("v1alpha", "v1")
    POOL.AddSerializedFile(file.SerializeToString())
