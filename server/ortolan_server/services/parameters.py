"""The parameters of an inference request: which are known, of which type, and what they ask for."""

import math
from collections.abc import Mapping

from ortolan.inference.inference_pb2 import InferParameter
from ortolan_server.errors import InvalidRequest
from ortolan_server.shared_memory import Place
from ortolan_server.tensors.wording import quoted

__all__ = ["input_place", "output_wishes", "requested_timeout_s"]

Parameters = Mapping[str, InferParameter]

_INTEGERS = ("int64_param", "uint64_param")
# What clients send, with the types they may have. Sequences and priorities ask for schedulers that stateless models do
# not need: they are read and change nothing. Keys of other kinds are a caller's own business.
_REQUEST_TYPES: Mapping[str, tuple[str, ...]] = {
    "binary_data_output": ("bool_param",),
    "priority": _INTEGERS,
    "sequence_end": ("bool_param",),
    "sequence_id": (*_INTEGERS, "string_param"),
    "sequence_start": ("bool_param",),
    "timeout": (*_INTEGERS, "string_param"),
    "triton_enable_empty_final_response": ("bool_param",),
}
_REGION, _BYTE_SIZE, _OFFSET = "shared_memory_region", "shared_memory_byte_size", "shared_memory_offset"
_PLACE_TYPES: Mapping[str, tuple[str, ...]] = {_REGION: ("string_param",), _BYTE_SIZE: _INTEGERS, _OFFSET: _INTEGERS}
_OUTPUT_TYPES: Mapping[str, tuple[str, ...]] = {
    "binary_data": ("bool_param",),
    "classification": _INTEGERS,
    **_PLACE_TYPES,
}
_INPUT_TYPES: Mapping[str, tuple[str, ...]] = {
    "binary_data": ("bool_param",),
    "binary_data_size": _INTEGERS,
    **_PLACE_TYPES,
}
_RESERVED = "triton_"
_MAX_DIGITS = 19


def requested_timeout_s(parameters: Parameters) -> float:
    """Checks the parameters of a request; how long it may take, `math.inf` when it does not say.

    Raises InvalidRequest for a known parameter of a wrong type and for an unknown one of a reserved name.
    """
    if not parameters:
        return math.inf
    _check("the request", parameters, _REQUEST_TYPES)
    for key in parameters:
        if key.startswith(_RESERVED) and key not in _REQUEST_TYPES:
            raise InvalidRequest(f"unknown parameter {quoted(key)}: names with {_RESERVED!r} in front are reserved")
    timeout = parameters.get("timeout")
    return math.inf if timeout is None else _timeout_s(timeout)


def input_place(name: str, parameters: Parameters) -> Place | None:
    """Where in shared memory input `name` is; None: in the message. Raises InvalidRequest for what makes no sense."""
    owner = f"input {quoted(name)}"
    _check(owner, parameters, _INPUT_TYPES)
    return _place(owner, parameters)


def output_wishes(name: str, parameters: Parameters) -> tuple[int, Place | None]:
    """How many classes the caller wants of output `name`, 0: the tensor itself; and where, None: in the message.

    Raises InvalidRequest for what makes no sense.
    """
    if not parameters:
        return 0, None
    owner = f"output {quoted(name)}"
    _check(owner, parameters, _OUTPUT_TYPES)
    count, place = _classification_count(name, parameters), _place(owner, parameters)
    if count and place:
        raise InvalidRequest(f"{owner} asks for classification and names shared memory; wanted one or the other")
    return count, place


def _classification_count(name: str, parameters: Parameters) -> int:
    classification = parameters.get("classification")
    if classification is None:
        return 0
    count = _integer(classification)
    if count <= 0:
        raise InvalidRequest(f"output {quoted(name)} asks for classification {count}; wanted at least 1")
    return count


def _check(owner: str, parameters: Parameters, types: Mapping[str, tuple[str, ...]]) -> None:
    for key, value in parameters.items():
        wanted = types.get(key)
        kind = value.WhichOneof("parameter_choice")
        if wanted is not None and kind not in wanted:
            came = kind or "nothing"
            raise InvalidRequest(f"parameter {quoted(key)} of {owner} is {came}; wanted {' or '.join(wanted)}")


def _place(owner: str, parameters: Parameters) -> Place | None:
    region, size, offset = (parameters.get(key) for key in (_REGION, _BYTE_SIZE, _OFFSET))
    if region is None:
        if size is None and offset is None:
            return None
        raise InvalidRequest(f"{owner} names a place in shared memory, but no region; wanted {_REGION!r}")
    if size is None:
        raise InvalidRequest(f"{owner} is in shared memory, but of no size; wanted {_BYTE_SIZE!r}")
    place = Place(region.string_param, _integer(size), 0 if offset is None else _integer(offset))
    if place.byte_size < 0 or place.offset < 0:
        raise InvalidRequest(
            f"{owner} has {place.byte_size} bytes at offset {place.offset} of shared memory; wanted at least 0"
        )
    return place


def _timeout_s(timeout: InferParameter) -> float:
    """In microseconds on the wire; 0 is what clients send for none."""
    digits = timeout.string_param
    if timeout.HasField("string_param"):
        if not (digits.isascii() and digits.isdecimal() and len(digits) <= _MAX_DIGITS):
            raise InvalidRequest(f"parameter 'timeout' is {quoted(digits)}; wanted a number of microseconds")
        timeout_us = int(digits)
    else:
        timeout_us = _integer(timeout)
    if timeout_us < 0:
        raise InvalidRequest(f"parameter 'timeout' is {timeout_us}; wanted at least 0 microseconds")
    return timeout_us / 1e6 if timeout_us else math.inf


def _integer(value: InferParameter) -> int:
    return value.uint64_param if value.HasField("uint64_param") else value.int64_param
