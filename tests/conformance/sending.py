"""What a row of the table of bad requests is, and the ways to send one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
from google.protobuf.message import Message
from numpy.typing import ArrayLike

from ortolan.inference import inference_pb2 as pb
from tests.conformance.wire import IN_BAND, INFERENCE, REFLECTION, Answer, Wire, check_simple, simple_request

__all__ = [
    "BadRequest",
    "Send",
    "altered",
    "call",
    "in_stream",
    "infer",
    "plan",
    "raw",
    "request",
    "strings",
    "with_parameter",
]

Send = Callable[[Wire], Answer]
Fill = Callable[[pb.ModelInferRequest], object]


@dataclass(frozen=True, slots=True)
class BadRequest:
    """One bad request and the answer that it must get."""

    name: str
    send: Send
    code: str
    """Name of a gRPC status, or IN_BAND or CLOSED, see `wire`."""
    message: str
    """A regular expression that the answer's text must match somewhere."""


def request(
    model: str,
    inputs: Sequence[tuple[str, str, Sequence[int]]],
    data: Sequence[bytes] = (),
    *,
    version: str = "",
    outputs: Sequence[str] = (),
) -> pb.ModelInferRequest:
    """A request whose inputs are (name, datatype, shape) each, whatever they say."""
    message = pb.ModelInferRequest(model_name=model, model_version=version, raw_input_contents=data)
    for name, datatype, shape in inputs:
        message.inputs.add(name=name, datatype=datatype, shape=shape)
    for name in outputs:
        message.outputs.add(name=name)
    return message


def raw(*arrays: ArrayLike, dtype: str = "float32") -> list[bytes]:
    """The bytes of arrays, one entry each."""
    return [np.asarray(array, dtype).tobytes() for array in arrays]


def altered(*changes: Fill) -> pb.ModelInferRequest:
    """The right request to `simple`, spoilt."""
    message = simple_request()
    for change in changes:
        change(message)
    return message


def with_parameter(key: str, *, of: str = "request", **value: Any) -> pb.ModelInferRequest:
    """The right request to `simple` with a parameter of itself, of its first input or of OUTPUT0."""

    def change(message: pb.ModelInferRequest) -> None:
        owners: dict[str, Callable[[], Any]] = {
            "request": lambda: message,
            "input": lambda: message.inputs[0],
            "output": lambda: message.outputs.add(name="OUTPUT0"),
        }
        owners[of]().parameters[key].CopyFrom(pb.InferParameter(**value))

    return altered(change)


def infer(message: pb.ModelInferRequest | bytes, *, timeout_s: float = 30.0) -> Send:
    """Over ModelInfer."""
    return lambda wire: wire.unary(f"{INFERENCE}/ModelInfer", message, timeout_s=timeout_s)


def call(
    path: str, message: Message | bytes, *, compression: grpc.Compression = grpc.Compression.NoCompression
) -> Send:
    """Over the method of the inference service or, with a slash in front, over any."""
    full = path if path.startswith("/") else f"{INFERENCE}/{path}"
    return lambda wire: wire.unary(full, message, compression=compression)


def plan(message: Message) -> Send:
    return call(f"{REFLECTION}/PlanAssignment", message)


def in_stream(*bad: Message | bytes) -> Send:
    """Between two right messages of one stream, which must have their answers all the same."""

    def send(wire: Wire) -> Answer:
        came, end = wire.infer_stream([simple_request("first"), *bad, simple_request("last")])
        if end.code != "OK":
            return end
        assert len(came) == len(bad) + 2, f"{len(came)} answers came to {len(bad) + 2} messages"
        check_simple(came[0].infer_response, "first")
        check_simple(came[-1].infer_response, "last")
        texts = {message.error_message for message in came[1:-1]}
        assert len(texts) == 1, f"different answers to the same message: {texts}"
        return Answer(IN_BAND, texts.pop())

    return send


def strings(*texts: bytes) -> bytes:
    """Elements of BYTES as they travel raw."""
    return b"".join(len(text).to_bytes(4, "little") + text for text in texts)
