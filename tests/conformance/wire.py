"""Calls as bytes: whatever a client could put on the wire, and what came back."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeAlias

import grpc
import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from ortolan.inference import inference_pb2 as pb

__all__ = ["CLOSED", "INFERENCE", "IN_BAND", "REFLECTION", "Answer", "Wire", "body", "simple_request"]

INFERENCE = "/inference.GRPCInferenceService"
REFLECTION = "/ortolan.v1.ProviderReflection"
IN_BAND = "IN_BAND"
"""Not a code: the answer is a message of a stream that goes on."""
CLOSED = "CLOSED"
"""Not a code: the connection was closed without one."""

LIMIT_S = 30.0
_SMALL = np.arange(16, dtype=np.int32).reshape(1, 16)

Metadata = tuple[tuple[str, str | bytes], ...]


_Unary: TypeAlias = "grpc.UnaryUnaryMultiCallable[bytes, bytes]"
_Stream: TypeAlias = "grpc.StreamStreamMultiCallable[bytes, bytes]"


@dataclass(frozen=True, slots=True)
class Answer:
    code: str
    """Name of a gRPC status, IN_BAND or CLOSED."""
    text: str


def body(message: Message | bytes) -> bytes:
    return message if isinstance(message, bytes) else message.SerializeToString()


def simple_request(request_id: str = "") -> pb.ModelInferRequest:
    """A right request to `simple`."""
    request = pb.ModelInferRequest(model_name="simple", id=request_id)
    for name, array in (("INPUT0", _SMALL), ("INPUT1", 2 * _SMALL)):
        request.inputs.add(name=name, datatype="INT32", shape=array.shape)
        request.raw_input_contents.append(array.tobytes())
    return request


class Wire:
    """A channel that takes any bytes as a message of any method."""

    def __init__(self, address: str) -> None:
        self.address = address
        options = [
            ("grpc.max_send_message_length", -1),
            ("grpc.max_metadata_size", 2**20),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        self._channel = grpc.insecure_channel(address, options=options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._channel.close()

    def unary(
        self,
        path: str,
        message: Message | bytes,
        *,
        timeout_s: float = LIMIT_S,
        metadata: Metadata = (),
        compression: grpc.Compression = grpc.Compression.NoCompression,
    ) -> Answer:
        """One message out; OK with the length of what came back."""
        method: _Unary = self._channel.unary_unary(path)
        try:
            came = method(body(message), timeout=timeout_s, metadata=metadata, compression=compression)
        except grpc.RpcError as error:
            return _failure(error)
        return Answer("OK", f"{len(came)} bytes")

    def stream(
        self, path: str, messages: Sequence[Message | bytes], metadata: Metadata = ()
    ) -> tuple[list[bytes], Answer]:
        """Many messages out. What came back, and how it ended."""
        came: list[bytes] = []
        method: _Stream = self._channel.stream_stream(path)
        try:
            came.extend(method(iter([body(message) for message in messages]), timeout=LIMIT_S, metadata=metadata))
        except grpc.RpcError as error:
            return came, _failure(error)
        return came, Answer("OK", "")

    def infer_stream(
        self, messages: Sequence[Message | bytes], metadata: Metadata = ()
    ) -> tuple[list[pb.ModelStreamInferResponse], Answer]:
        came, end = self.stream(f"{INFERENCE}/ModelStreamInfer", messages, metadata)
        return [pb.ModelStreamInferResponse.FromString(data) for data in came], end

    def check_right_answer(self) -> None:
        """Raises AssertionError unless `simple` answers as numpy does."""
        method: _Unary = self._channel.unary_unary(f"{INFERENCE}/ModelInfer")
        data = method(body(simple_request("right")), timeout=LIMIT_S)
        check_simple(pb.ModelInferResponse.FromString(data), "right")


def check_simple(response: pb.ModelInferResponse, request_id: str) -> None:
    """Raises AssertionError unless that is the answer to `simple_request(request_id)`."""
    assert response.id == request_id, f"id {response.id!r}; wanted {request_id!r}"
    arrays = [_int32(data) for data in response.raw_output_contents]
    np.testing.assert_array_equal(arrays, [_SMALL[0] + 2 * _SMALL[0], _SMALL[0] - 2 * _SMALL[0]])


def _int32(data: bytes) -> NDArray[np.int32]:
    return np.frombuffer(data, np.int32)


def _failure(error: Any) -> Answer:
    """What a call raises has the methods of `grpc.Call`, which the types do not tell."""
    return Answer(error.code().name, error.details() or "")
