"""What a request asks of a model: its inputs as arrays, the outputs it wants, and where it wants them."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple

from ortolan.inference.inference_pb2 import ModelInferRequest
from ortolan_server.codec import InferRequest
from ortolan_server.engine.call import Array
from ortolan_server.errors import InvalidRequest
from ortolan_server.services.parameters import input_place, output_wishes, requested_timeout_s
from ortolan_server.services.shared_inputs import find_span, shared_inputs
from ortolan_server.services.shared_outputs import SharedOutputs
from ortolan_server.shared_memory import Place, Regions, Span
from ortolan_server.tensors import InputPlan, OutputHeader, OutputPlan, Signature, decode_contents, decode_inputs
from ortolan_server.tensors.wording import quoted

__all__ = ["Asked", "Terms", "read"]


class Terms(NamedTuple):
    """What follows from all of a request but the data of its tensors."""

    signature: Signature
    """Of the model that it is meant for."""
    plan: InputPlan
    outputs: OutputPlan
    timeout_s: float
    """`math.inf`: it names none."""
    bucket: Hashable
    """As `InferenceCall.bucket`."""


class Asked(NamedTuple):
    """A request that fits its model."""

    terms: Terms
    feeds: Mapping[str, Array]
    shared: SharedOutputs | None = None
    """Of outputs that are to go to shared memory."""
    into: Sequence[Array] | None = None
    """As `InferenceCall.into`."""


def read(wire: InferRequest, signature: Signature, regions: Regions | None) -> Asked:
    """Holds a request against the signature of its model. Raises InvalidRequest; NotAllowed and what `regions` raise
    for shared memory.
    """
    head = wire.head
    if head is None:
        return _read(wire, signature, regions)
    terms: Terms | None = head.memo
    if terms is not None and terms.signature is signature:
        return Asked(terms, decode_inputs(terms.plan, wire.raw))
    asked = _read(wire, signature, regions)
    if asked.shared is None and len(wire.raw) == len(asked.feeds):  # nothing of it is in shared memory
        head.memo = asked.terms
    return asked


def _read(wire: InferRequest, signature: Signature, regions: Regions | None) -> Asked:
    request = wire.message
    parameters, requested = request.parameters, request.outputs  # each access makes an object
    timeout_s = requested_timeout_s(parameters)
    outputs, places = _requested_outputs(requested, signature) if requested else (signature.all_outputs, None)
    plan, feeds, spans = _inputs(wire, signature, regions)
    terms = Terms(signature, plan, outputs, timeout_s, signature.bucket(plan, outputs))
    if places is None:
        return Asked(terms, feeds)
    shared = SharedOutputs(outputs, [place and find_span(regions, place) for place in places])
    into = shared.bound(signature, plan, spans)
    # A batch has its outputs in one piece.
    return Asked(terms if into is None else terms._replace(bucket=None), feeds, shared, into)


def _requested_outputs(
    requested: Iterable[ModelInferRequest.InferRequestedOutputTensor], signature: Signature
) -> tuple[OutputPlan, Sequence[Place | None] | None]:
    """And where they are to go, when shared memory is among it."""
    places: list[Place | None] = []
    class_counts: dict[str, int] = {}
    headers: list[OutputHeader] = []
    for wanted in requested:
        spec = signature.output(wanted.name)
        if spec.name in class_counts:
            raise InvalidRequest(f"output {quoted(spec.name)} is requested more than once")
        class_count, place = output_wishes(spec.name, wanted.parameters)
        if class_count and spec.datatype == "BYTES":
            raise InvalidRequest(f"output {quoted(spec.name)} is BYTES; classification wants numbers")
        class_counts[spec.name] = class_count
        headers.append(OutputHeader(spec.name, spec.datatype))
        places.append(place)
    counts = tuple(class_counts.values()) if any(class_counts.values()) else ()
    return OutputPlan(tuple(class_counts), tuple(headers), counts), places if any(places) else None


def _inputs(
    wire: InferRequest, signature: Signature, regions: Regions | None
) -> tuple[InputPlan, dict[str, Array], Iterable[Span]]:
    """And the spans of inputs in shared memory."""
    request, raw, _ = wire
    # Each access to a repeated field makes objects: once is enough, and a slice is its quickest copy. Of a million
    # inputs one too many is enough to refuse them.
    tensors = request.inputs[: len(signature.inputs) + 1]
    plan = signature.plan(tuple([(tensor.name, tensor.datatype, tuple(tensor.shape[:])) for tensor in tensors]))
    spans: dict[str, Span] = {}
    for tensor in tensors:
        if tensor.parameters and (place := input_place(tensor.name, tensor.parameters)):
            spans[tensor.name] = find_span(regions, place)
    if spans:
        return plan, shared_inputs(plan, tensors, raw, spans), spans.values()
    if not raw:
        feeds = {
            header.name: decode_contents(header, tensor.contents)
            for header, tensor in zip(plan.headers, tensors, strict=True)
        }
        return plan, feeds, ()
    for tensor in tensors:
        if tensor.HasField("contents"):
            raise InvalidRequest(
                f"input {quoted(tensor.name)} has contents beside raw_input_contents; wanted one or the other"
            )
    if len(raw) != len(tensors):
        raise InvalidRequest(f"raw_input_contents has {len(raw)} entries; wanted {len(tensors)}, one for each input")
    return plan, decode_inputs(plan, raw), ()
