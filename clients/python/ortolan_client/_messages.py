"""Inference requests out of arrays, arrays out of inference answers.

Requests are written by hand: what repeats from call to call, then the memory of the arrays, joined once. In large
answers the tensors stay where they came. Tests hold both against protobuf's own reading and writing.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import ArrayLike, NDArray

from ortolan.inference.inference_pb2 import InferParameter, ModelInferRequest, ModelInferResponse
from ortolan.inference.inference_pb2 import ModelStreamInferResponse as StreamResponse
from ortolan.wire import CUT_BYTES, RAW_INPUT, RAW_OUTPUT, cut, filling, largest_start, read_varint, varint
from ortolan_client._errors import BadAnswer, InvalidInput, MessageTooLarge
from ortolan_client._regions import Place, Region, place_in, wanted_place
from ortolan_client._tensors import Buffer, datatype_of, from_raw, to_raw

__all__ = [
    "Outputs",
    "as_arrays",
    "may_be_bf16",
    "read_answer",
    "read_stream_answer",
    "version_text",
    "write_request",
]

Outputs = Sequence[str] | Mapping[str, NDArray[Any] | None] | None
"""The names of those wanted, None: all. As a mapping also where in shared memory each shall go; None: in the answer."""

_Data = bytes | NDArray[Any]

# Tags, as in `ortolan.wire`.
_ID = b"\x1a"
_RAW = bytes((RAW_INPUT,))
_INFER_RESPONSE = 0x12
_MOST_BYTES = 2**31 - 1
# Names and shapes need some of them.
_MOST_DATA_BYTES = _MOST_BYTES - 2**20
# Shapes are the caller's choice: without a bound each new one would cost memory for good.
_MAX_HEADS = 1024


class _Tensor(NamedTuple):
    name: str
    datatype: str
    shape: tuple[int, ...]
    place: Place | None


class _Head(NamedTuple):
    names: bytes
    """Model and version: first in the message, where servers look for them before they read it."""
    tensors: bytes


def version_text(version: object, model: str) -> str:
    """The version. Raises InvalidInput for a number: it is text in every message."""
    if not isinstance(version, str):
        told = f"a version is text, {str(version)!r}, not {type(version).__name__}"
        raise InvalidInput(told, code="INVALID_ARGUMENT", model=model)
    return version


def as_arrays(inputs: Mapping[str, ArrayLike], model: str) -> dict[str, NDArray[Any]]:
    """Raises InvalidInput for what is no array, and for what is not by name."""
    if not isinstance(inputs, Mapping):
        raise InvalidInput(
            f"inputs are arrays by name, not {type(inputs).__name__}: {{'NAME': array}}; "
            "a handle, Client.model, takes the array alone where the model has one input",
            code="INVALID_ARGUMENT",
            model=model,
        )
    arrays = {}
    for name, value in inputs.items():
        try:
            arrays[name] = np.asarray(value)
        except ValueError as error:
            raise _invalid(name, error, model) from error
    return arrays


def may_be_bf16(arrays: Mapping[str, NDArray[Any]]) -> bool:
    """Whether the model must be asked what it declares: bit patterns of BF16 are uint16, too."""
    return any(array.dtype == np.uint16 for array in arrays.values())


def write_request(  # noqa: PLR0913 (the parts of one message)
    model: str,
    arrays: Mapping[str, NDArray[Any]],
    *,
    version: str,
    outputs: Outputs,
    request_id: str,
    declared: Mapping[str, str],
    regions: Sequence[Region] = (),
) -> bytes:
    """A ModelInferRequest. `declared` are the model's datatypes by input, and may be empty unless `may_be_bf16()`.

    Raises InvalidInput naming the tensor, and MessageTooLarge for what no message can carry.
    """
    tensors, data = _encoded(model, arrays, declared, regions)
    head = _head(model, version_text(version, model), tensors, _wanted(outputs, regions, model))
    return _joined(model, head, request_id, data)


def _encoded(
    model: str, arrays: Mapping[str, NDArray[Any]], declared: Mapping[str, str], regions: Sequence[Region]
) -> tuple[tuple[_Tensor, ...], list[_Data]]:
    """What to say of each tensor, and the data of those that travel."""
    tensors: list[_Tensor] = []
    data: list[_Data] = []
    for name, array in arrays.items():
        try:
            datatype = datatype_of(array)
            if datatype == "UINT16" and declared.get(name) == "BF16":
                datatype = "BF16"
            place = place_in(regions, array) if regions and datatype != "BYTES" else None
            if place is None:
                _check_size(array, datatype, model)
                data.append(to_raw(array, datatype))
        except ValueError as error:
            raise _invalid(name, error, model) from error
        tensors.append(_Tensor(name, datatype, array.shape, place))
    return tuple(tensors), data


def _joined(model: str, head: _Head, request_id: str, data: Sequence[_Data]) -> bytes:
    parts: list[_Data] = [head.names, b"", head.tensors]
    if request_id:
        encoded = request_id.encode()
        parts[2:2] = (_ID, varint(len(encoded)), encoded)
    sizes = [each.nbytes if isinstance(each, np.ndarray) else len(each) for each in data]
    size_bytes = sum(sizes)
    if size_bytes > _MOST_DATA_BYTES:
        raise _too_large(size_bytes, model)
    if size_bytes >= CUT_BYTES:
        parts[1] = filling(sum(map(len, parts)) + largest_start(sizes))
    for each_bytes, each in zip(sizes, data, strict=True):
        parts += (_RAW, varint(each_bytes), each)
    return b"".join(parts)  # type: ignore[arg-type]  # arrays are buffers, as numpy's types say from Python 3.12 on


def _check_size(array: NDArray[Any], datatype: str, model: str) -> None:
    """Before it is copied: what is written out here may be a view of next to nothing."""
    if datatype != "BYTES" and array.nbytes > _MOST_DATA_BYTES:
        raise _too_large(array.nbytes, model)


def _too_large(size_bytes: int, model: str) -> MessageTooLarge:
    return MessageTooLarge(
        f"the inputs have {size_bytes} bytes together, and a gRPC message carries at most {_MOST_BYTES}: "
        "send fewer rows at a time",
        code="RESOURCE_EXHAUSTED",
        model=model,
    )


@lru_cache(_MAX_HEADS)
def _head(
    model: str, version: str, inputs: tuple[_Tensor, ...], outputs: tuple[tuple[str, Place | None], ...]
) -> _Head:
    tensors = ModelInferRequest()
    for name, datatype, shape, place in inputs:
        tensor = tensors.inputs.add(name=name, datatype=datatype, shape=shape)
        _say(tensor, place)
    for name, place in outputs:
        _say(tensors.outputs.add(name=name), place)
    names = ModelInferRequest(model_name=model, model_version=version)
    return _Head(names.SerializeToString(), tensors.SerializeToString())


def _say(
    tensor: ModelInferRequest.InferInputTensor | ModelInferRequest.InferRequestedOutputTensor, place: Place | None
) -> None:
    if place is None:
        return
    tensor.parameters["shared_memory_region"].CopyFrom(InferParameter(string_param=place.region))
    tensor.parameters["shared_memory_byte_size"].CopyFrom(InferParameter(int64_param=place.size_bytes))
    tensor.parameters["shared_memory_offset"].CopyFrom(InferParameter(int64_param=place.offset))


def _wanted(outputs: Outputs, regions: Sequence[Region], model: str) -> tuple[tuple[str, Place | None], ...]:
    if isinstance(outputs, str):
        told = f"outputs are a sequence of names, as [{outputs!r}], not one"
        raise InvalidInput(told, code="INVALID_ARGUMENT", model=model)
    if not isinstance(outputs, Mapping):
        return tuple((name, None) for name in outputs or ())
    try:
        return tuple((name, wanted_place(regions, array, name)) for name, array in outputs.items())
    except ValueError as error:
        raise InvalidInput(str(error), code="INVALID_ARGUMENT", model=model) from error


def read_answer(data: bytes, model: str, regions: Sequence[Region] = (), at: int = 0) -> dict[str, NDArray[Any]]:
    """Output name to array, of the ModelInferResponse that begins at `at`, in its order.

    Raises BadAnswer naming the tensor.
    """
    try:
        if len(data) - at >= CUT_BYTES:
            rest, raw = cut(data, RAW_OUTPUT, at)
            if raw:
                return _arrays(ModelInferResponse.FromString(b"".join(rest)), raw, model, regions)
        message = ModelInferResponse.FromString(data[at:])
    except DecodeError as error:
        raise _no_message(ModelInferResponse.DESCRIPTOR.full_name, model) from error
    return _arrays(message, message.raw_output_contents, model, regions)


def read_stream_answer(data: bytes, model: str, regions: Sequence[Region] = ()) -> str | dict[str, NDArray[Any]]:
    """As `read_answer()`, of a ModelStreamInferResponse; its error as text, where it has one."""
    if len(data) >= CUT_BYTES and data[0] == _INFER_RESPONSE:
        with suppress(ValueError):  # then the parser says what it is
            size_bytes, start = read_varint(data, 1)
            if start + size_bytes == len(data):
                return read_answer(data, model, regions, start)
    try:
        message = StreamResponse.FromString(data)
    except DecodeError as error:
        raise _no_message(StreamResponse.DESCRIPTOR.full_name, model) from error
    answer = message.infer_response
    return message.error_message or _arrays(answer, answer.raw_output_contents, model, regions)


def _arrays(
    message: ModelInferResponse, raw: Sequence[Buffer], model: str, regions: Sequence[Region]
) -> dict[str, NDArray[Any]]:
    if len(raw) != len(message.outputs):
        came = f"{len(message.outputs)} outputs came with {len(raw)} raw contents"
        raise BadAnswer(came, code="INTERNAL", model=model)
    arrays = {}
    for output, data in zip(message.outputs, raw, strict=True):
        try:
            memory = _shared(output, regions) if regions and not data else data
            arrays[output.name] = from_raw(memory, output.datatype, tuple(output.shape))
        except ValueError as error:
            raise BadAnswer(f"output {output.name!r}: {error}", code="INTERNAL", model=model) from error
    return arrays


def _shared(output: ModelInferResponse.InferOutputTensor, regions: Sequence[Region]) -> Buffer:
    """What the server has put into shared memory; nothing, where it did not."""
    if "shared_memory_region" not in output.parameters:
        return b""
    place = Place(
        output.parameters["shared_memory_region"].string_param,
        output.parameters["shared_memory_offset"].int64_param if "shared_memory_offset" in output.parameters else 0,
        output.parameters["shared_memory_byte_size"].int64_param,
    )
    for region in regions:
        if region.name == place.region:
            return region.view(place)
    raise ValueError(f"it is in shared memory {place.region!r}, which is not this client's")


def _invalid(name: str, error: ValueError, model: str) -> InvalidInput:
    return InvalidInput(f"input {name!r}: {error}", code="INVALID_ARGUMENT", model=model)


def _no_message(name: str, model: str) -> BadAnswer:
    return BadAnswer(f"the answer is not a {name} message", code="INTERNAL", model=model)
