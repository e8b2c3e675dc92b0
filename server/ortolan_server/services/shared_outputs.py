"""Outputs of which some go to shared memory: large ones are written there by the run itself."""

import math
from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np

from ortolan_server.engine.call import Array
from ortolan_server.errors import InvalidRequest
from ortolan_server.shared_memory import Place, Span
from ortolan_server.tensors import DATATYPES, InputPlan, OutputHeader, OutputPlan, Signature, encode_raw
from ortolan_server.tensors.foretelling import foretell
from ortolan_server.tensors.wording import quoted

__all__ = ["BIND_BYTES", "SharedOutputs"]

BIND_BYTES = 256 * 1024
"""Outputs of at least so many bytes are bound: a copy of less takes no longer than a call loses that cannot be
joined with others."""
_UNBOUND = ("BF16", "BYTES")


class SharedOutputs:
    """The outputs of one request of which some go to shared memory."""

    def __init__(self, outputs: OutputPlan, spans: Sequence[Span | None]) -> None:
        """`spans`: for each output its place, None: the message. Raises InvalidRequest when they overlap."""
        self._outputs = outputs
        self._spans = spans
        named = [(name, span) for name, span in zip(outputs.names, spans, strict=True) if span is not None]
        for (name, span), (other_name, other) in combinations(named, 2):
            if span.overlaps(other):
                raise InvalidRequest(
                    f"outputs {quoted(name)} and {quoted(other_name)} overlap in shared memory region "
                    f"{quoted(span.place.region)}"
                )

    def bound(self, signature: Signature, plan: InputPlan, inputs: Iterable[Span]) -> list[Array] | None:
        """Arrays for the run to write to, those in shared memory being the caller's; None: nothing is gained.

        `inputs` are the request's own in shared memory: an output that overlaps one would change it during the run.
        """
        spans = [span for span in self._spans if span is not None]
        if sum(len(span.memory) for span in spans) < BIND_BYTES:
            return None
        if any(datatype in _UNBOUND for _, datatype, *_ in (*self._outputs.headers, *plan.headers)):
            return None
        if any(span.overlaps(other) for span in spans for other in inputs):
            return None
        shapes = foretell(signature, plan.headers, self._outputs.names)
        if shapes is None:
            return None
        into = list(map(_array, self._outputs.headers, shapes, self._spans))
        return None if any(array is None for array in into) else [array for array in into if array is not None]

    def deliver(self, arrays: Sequence[Array], into: Sequence[Array] | None) -> list[Place | None]:
        """Writes what is not there yet. For each output where it is now, with its size; None: in the message.

        Raises InvalidRequest for an output that is larger than its place.
        """
        places: list[Place | None] = []
        given = into if into is not None else [None] * len(arrays)
        for header, array, own, span in zip(self._outputs.headers, arrays, given, self._spans, strict=True):
            if span is None:
                places.append(None)
                continue
            size_bytes = array.nbytes if array is own else _write(header.name, header.datatype, array, span)
            places.append(span.place._replace(byte_size=size_bytes))
        return places


def _array(header: OutputHeader, shape: tuple[int, ...], span: Span | None) -> Array | None:
    """For an output of that shape; None: there can be none, or not at that place."""
    dtype = DATATYPES[header.datatype].dtype
    size_bytes = math.prod(shape) * dtype.itemsize
    if not size_bytes:
        return None
    if span is None:
        return np.empty(shape, dtype)
    if size_bytes > len(span.memory):
        return None  # to be refused with the shape that it really has
    array: Array = np.ndarray(shape, dtype, span.memory)
    return array if array.flags.aligned else None


def _write(name: str, datatype: str, array: Array, span: Span) -> int:
    """How many bytes it has written."""
    dtype = DATATYPES[datatype].dtype
    data = encode_raw(array) if dtype.hasobject else None
    size_bytes = array.size * dtype.itemsize if data is None else len(data)
    memory, place = span.memory, span.place
    if size_bytes > len(memory):
        raise InvalidRequest(
            f"output {quoted(name)} has {size_bytes} bytes; wanted at most the {len(memory)} bytes at offset "
            f"{place.offset} of shared memory region {quoted(place.region)} that the request has for it"
        )
    span.check()
    if data is None:
        np.ndarray(array.shape, dtype, memory)[...] = array
    else:
        memory[:size_bytes] = data
    return size_bytes
