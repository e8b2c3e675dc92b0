"""Responses of which some tensors are in shared memory, and nothing but their places in the message."""

from collections.abc import Sequence

from ortolan.inference.inference_pb2 import InferParameter, ModelInferResponse
from ortolan.wire import varint
from ortolan_server.codec.responses import RAW, check_output_bytes
from ortolan_server.shared_memory import Place
from ortolan_server.tensors import Array, OutputHeader, encode_raw

__all__ = ["write_placed_response"]


def write_placed_response(  # noqa: PLR0913 - as write_response, and the places
    model: str,
    version: str,
    request_id: str,
    outputs: Sequence[OutputHeader],
    arrays: Sequence[Array],
    places: Sequence[Place | None],
) -> bytes:
    """As `write_response()`, for few tensors of which some have places.

    Such a one has its place among its parameters, with the bytes that it takes there, and an empty entry in
    `raw_output_contents`: clients pair outputs and entries by their index.
    """
    head = ModelInferResponse(model_name=model, model_version=version, id=request_id)
    parts: list[bytes] = []
    size_bytes = 0
    for (name, datatype), array, place in zip(outputs, arrays, places, strict=True):
        output = head.outputs.add(name=name, datatype=datatype, shape=array.shape)
        data = b""
        if place is None:
            data = encode_raw(array)
            size_bytes += len(data)
            check_output_bytes(size_bytes)
        else:
            _say(output, place)
        parts += (RAW, varint(len(data)), data)
    return b"".join((head.SerializeToString(), *parts))


def _say(output: ModelInferResponse.InferOutputTensor, place: Place) -> None:
    parameters = output.parameters
    parameters["shared_memory_region"].CopyFrom(InferParameter(string_param=place.region))
    parameters["shared_memory_byte_size"].CopyFrom(InferParameter(int64_param=place.byte_size))
    if place.offset:
        parameters["shared_memory_offset"].CopyFrom(InferParameter(int64_param=place.offset))
