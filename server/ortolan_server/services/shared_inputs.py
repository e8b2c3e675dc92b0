"""Inputs of which some are in shared memory: these are read where they are."""

from collections.abc import Iterable, Mapping, Sequence

from ortolan.inference.inference_pb2 import ModelInferRequest
from ortolan_server.engine.call import Array
from ortolan_server.errors import InvalidRequest, NotAllowed
from ortolan_server.settings import SHARED_MEMORY_OFF
from ortolan_server.shared_memory import Place, Regions, Span
from ortolan_server.tensors import InputPlan, TensorHeader, decode_contents, decode_raw
from ortolan_server.tensors.wording import quoted

__all__ = ["find_span", "shared_inputs"]

Input = ModelInferRequest.InferInputTensor


def find_span(regions: Regions | None, place: Place) -> Span:
    """Raises NotAllowed while shared memory is off, else as `Regions.span()`."""
    if regions is None:
        raise NotAllowed(SHARED_MEMORY_OFF)
    return regions.span(place)


def shared_inputs(
    plan: InputPlan, tensors: Sequence[Input], raw: Sequence[bytes | memoryview], spans: Mapping[str, Span]
) -> dict[str, Array]:
    """The inputs by name; those of `spans` are views of them where that can be.

    As Triton's clients send it, `raw` has an entry for each input that is not in shared memory. Raises InvalidRequest
    for data that does not fit.
    """
    _check_no_contents([tensor for tensor in tensors if tensor.name in spans], "shared memory")
    others = [tensor for tensor in tensors if tensor.name not in spans]
    if raw:
        _check_no_contents(others, "raw_input_contents")
        if len(raw) != len(others):
            raise InvalidRequest(
                f"raw_input_contents has {len(raw)} entries; wanted {len(others)}, one for each input that is not in "
                "shared memory"
            )
    entries, contents = iter(raw), {tensor.name: tensor.contents for tensor in others}
    feeds: dict[str, Array] = {}
    for header in plan.headers:
        name = header.name
        if name in spans:
            feeds[name] = _read(header, spans[name])
        elif raw:
            feeds[name] = decode_raw(header, next(entries))
        else:
            feeds[name] = decode_contents(header, contents[name])
    return feeds


def _read(header: TensorHeader, span: Span) -> Array:
    # Values that are looked at must be those that run: only of a copy it is sure.
    data = bytes(span.memory) if header.datatype == "BOOL" else span.memory
    return decode_raw(header, data)


def _check_no_contents(tensors: Iterable[Input], beside: str) -> None:
    for tensor in tensors:
        if tensor.HasField("contents"):
            raise InvalidRequest(f"input {quoted(tensor.name)} has contents beside {beside}; wanted one or the other")
