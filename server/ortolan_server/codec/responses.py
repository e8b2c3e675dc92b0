"""The bytes of a ModelInferResponse: a head that repeats from call to call, then the memory of the tensors.

Written by hand, since building the message as an object copies each tensor several times. The wire format is that of
protobuf's encoding guide; tests hold every response against protobuf's own reading of it.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ortolan.inference.inference_pb2 import InferParameter, ModelInferResponse, ModelStreamInferResponse
from ortolan.wire import CUT_BYTES, filling, largest_start, varint
from ortolan_server.errors import Overloaded
from ortolan_server.tensors import DATATYPES, Array, OutputHeader, encode_raw

__all__ = ["RAW", "check_output_bytes", "stream_answer", "stream_error", "write_response"]

# Tags: the field's number and 2, for a length that follows, as in `number << 3 | 2`.
_ID = b"\x1a"
RAW = b"\x32"
_INFER_RESPONSE = b"\x12"
_FINAL = ModelInferResponse(parameters={"triton_final_response": InferParameter(bool_param=True)}).SerializeToString()
# gRPC counts a message's bytes in an int32; names and shapes need some of them.
_MOST_OUTPUT_BYTES = 2**31 - 2**20
# Shapes are the callers' choice: without a bound each new one would cost memory for good.
_MAX_HEADS = 4096


class _Head(NamedTuple):
    data: bytes
    """All fields that come before the tensors, but for the request's id."""
    tags: tuple[bytes | None, ...]
    """What stands before the memory of each array; None: the wire wants other bytes than its memory has."""
    tagged_bytes: int
    """Of all the arrays that have a tag."""
    largest_start: int | None
    """Where the largest array's memory begins behind the head; None: it depends on what is encoded before it, or
    nobody would gain by knowing."""


def write_response(
    model: str, version: str, request_id: str, outputs: tuple[OutputHeader, ...], arrays: Sequence[Array]
) -> bytes:
    """The message, with every tensor in `raw_output_contents`; an array for each of `outputs`, in their order.

    Raises Overloaded for outputs that no message can carry.
    """
    # Arrays stand in their shape and dtype: what the head says of them follows from these.
    head = _head(model, version, outputs, tuple([(array.shape, array.dtype) for array in arrays]))
    parts: list[bytes | Array] = [head.data]
    size_bytes = head.tagged_bytes
    if request_id:
        encoded = request_id.encode()
        parts += (_ID, varint(len(encoded)), encoded)
    if head.largest_start is not None:
        parts.insert(1, filling(sum(map(len, parts)) + head.largest_start))
    for tag, array in zip(head.tags, arrays, strict=True):
        if tag is None:
            encoded = encode_raw(array)
            size_bytes += len(encoded)
            check_output_bytes(size_bytes)
            parts += (RAW, varint(len(encoded)), encoded)
        elif array.flags.c_contiguous:
            parts += (tag, array)
        else:
            parts += (tag, array.tobytes())
    return b"".join(parts)  # type: ignore[arg-type]  # arrays are buffers, as numpy's types say from Python 3.12 on


def stream_answer(response: bytes) -> bytes:
    """The stream message for a response: the only one to its request, and so the final one."""
    # Fields may come in any order: what is behind a message's bytes is read as part of it.
    return b"".join((_INFER_RESPONSE, varint(len(response) + len(_FINAL)), response, _FINAL))


def stream_error(request_id: str, text: str) -> bytes:
    """The stream message for a request that failed; the stream goes on. An empty text would read as success."""
    # Names of files may hold what UTF-8 cannot say.
    message = ModelStreamInferResponse(error_message=text.encode(errors="backslashreplace").decode())
    message.infer_response.id = request_id
    return message.SerializeToString()


@lru_cache(_MAX_HEADS)
def _head(
    model: str,
    version: str,
    outputs: tuple[OutputHeader, ...],
    arrays: tuple[tuple[tuple[int, ...], np.dtype[Any]], ...],
) -> _Head:
    message = ModelInferResponse(model_name=model, model_version=version)
    tags: list[bytes | None] = []
    tagged_bytes = 0
    for (name, datatype), (shape, dtype) in zip(outputs, arrays, strict=True):
        message.outputs.add(name=name, datatype=datatype, shape=shape)
        if datatype == "BYTES" or dtype != DATATYPES[datatype].dtype:
            tags.append(None)
            continue
        size_bytes = math.prod(shape) * dtype.itemsize
        tags.append(RAW + varint(size_bytes))
        tagged_bytes += size_bytes
    check_output_bytes(tagged_bytes)
    placed = tagged_bytes >= CUT_BYTES and None not in tags
    sizes = [math.prod(shape) * dtype.itemsize for shape, dtype in arrays]
    return _Head(message.SerializeToString(), tuple(tags), tagged_bytes, largest_start(sizes) if placed else None)


def check_output_bytes(size_bytes: int) -> None:
    """Raises Overloaded for tensors that no message can carry together."""
    if size_bytes > _MOST_OUTPUT_BYTES:
        raise Overloaded(
            f"the outputs have {size_bytes} bytes together, and a gRPC message carries at most {_MOST_OUTPUT_BYTES}: "
            "ask for fewer rows or outputs"
        )
