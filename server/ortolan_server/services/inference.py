"""ModelInfer, and one message of ModelStreamInfer: a request in, the bytes of a response or a domain error out."""

import math
import time
from collections.abc import Iterable, Sequence
from typing import Protocol

import structlog

from ortolan.inference.inference_pb2 import ModelInferRequest
from ortolan_server.codec import InferRequest, write_placed_response, write_response
from ortolan_server.engine.call import Array, InferenceCall, InferenceResult, Pump, Reply, Ticket
from ortolan_server.engine.statistics import Statistics
from ortolan_server.errors import InternalError, InvalidRequest, ModelNotFound, OrtolanError
from ortolan_server.services.classification import classify
from ortolan_server.services.parameters import input_place, output_wishes, requested_timeout_s
from ortolan_server.services.rejections import Rejections
from ortolan_server.services.shared_inputs import find_span, shared_inputs
from ortolan_server.services.shared_outputs import SharedOutputs
from ortolan_server.shared_memory import Place, Regions, Span
from ortolan_server.tensors import (
    InputPlan,
    OutputHeader,
    OutputPlan,
    Signature,
    decode_contents,
    decode_inputs,
)
from ortolan_server.tensors.wording import quoted

__all__ = ["Done", "InferenceService", "InferenceTarget", "ModelLookup"]

log = structlog.get_logger()


class Done(Protocol):
    """Called exactly once for each request with the bytes of a ModelInferResponse or an error, from any thread,
    `infer()`'s own included and before it returns; must return soon and must not raise.
    """

    def __call__(self, outcome: bytes | OrtolanError, statistics: Statistics | None = None, /) -> None:
        """`statistics` come with a response, and are to be told when it has left: `record_send()`."""
        ...


class InferenceTarget(Protocol):
    """A version of a model that serves."""

    @property
    def model(self) -> str: ...

    @property
    def version(self) -> str:
        """The version that answers, also when the request named none."""
        ...

    @property
    def signature(self) -> Signature: ...

    @property
    def statistics(self) -> Statistics: ...

    def submit(self, call: InferenceCall, reply: Reply, pump: Pump | None = None) -> Ticket:
        """As `Engine.submit()`, but may raise ModelNotReady instead of taking the call."""
        ...


class ModelLookup(Protocol):
    """The models that are there."""

    def find(self, model: str, version: str) -> InferenceTarget:
        """The version that serves; `version` empty: the one that serves by default.

        Raises ModelNotFound, InvalidRequest (the version is no number), ModelNotReady.
        """
        ...


class InferenceService:
    """Inference on messages. Threads may share it."""

    def __init__(self, lookup: ModelLookup, default_deadline_s: float, regions: Regions | None = None) -> None:
        """`default_deadline_s` is how long a call may take whose caller does not say; `math.inf`: for ever.

        Without `regions` shared memory is switched off.
        """
        self._lookup = lookup
        self._default_deadline_s = default_deadline_s
        self._regions = regions
        self.rejections = Rejections()
        """Requests that came to no engine. Transports add those that they refuse themselves."""

    def infer(self, request: InferRequest, deadline_s: float, done: Done, pump: Pump | None = None) -> Ticket:
        """Submits `request` to its model and calls `done` with the response or an error.

        `deadline_s` is the caller's, on the clock of `time.monotonic()`; `math.inf`: it has none. With a `pump` a
        small model's run may wait for it. The ticket cancels the call; it also takes a call that has ended.
        """
        started_s = time.monotonic()
        try:
            return self._submit(request, started_s, deadline_s, done, pump)
        except OrtolanError as error:
            # Names that are no model's come from callers: they would fill the memory.
            self.rejections.add(error, "" if isinstance(error, ModelNotFound) else request.message.model_name)
            done(error)
        except Exception:
            log.exception("request_failed", model=quoted(request.message.model_name))
            failure = InternalError()
            self.rejections.add(failure)
            done(failure)
        return _ENDED

    def _submit(self, wire: InferRequest, started_s: float, deadline_s: float, done: Done, pump: Pump | None) -> Ticket:
        request = wire.message
        target = self._lookup.find(request.model_name, request.model_version)
        signature = target.signature
        if deadline_s == math.inf:
            deadline_s = started_s + self._default_deadline_s
        parameters, requested = request.parameters, request.outputs  # each access makes an object
        if parameters:
            deadline_s = min(deadline_s, started_s + requested_timeout_s(parameters))
        outputs, places = _requested_outputs(requested, signature) if requested else (signature.all_outputs, None)
        plan, feeds, spans = _inputs(wire, signature, self._regions)
        shared = into = None
        if places is not None:
            shared = SharedOutputs(outputs, [place and find_span(self._regions, place) for place in places])
            into = shared.bound(signature, plan, spans)
        call = InferenceCall(
            feeds,
            outputs.names,
            deadline_s,
            plan.rows,
            time.monotonic() - started_s,
            None if plan.bucket is None or into is not None else (plan.bucket, outputs.names),
            into,
        )
        return target.submit(call, _Answer(target, request.id, outputs, started_s, done, shared, into), pump)


class _Ended:
    """The ticket of a request that was answered before it came to an engine."""

    runs_on_pump = False

    def cancel(self) -> None:
        pass


_ENDED = _Ended()


class _Answer:
    """The engine's reply to one request."""

    __slots__ = ("_done", "_into", "_outputs", "_request_id", "_shared", "_started_s", "_target")

    def __init__(  # noqa: PLR0913 - all that an answer depends on
        self,
        target: InferenceTarget,
        request_id: str,
        outputs: OutputPlan,
        started_s: float,
        done: Done,
        shared: SharedOutputs | None,
        into: Sequence[Array] | None,
    ) -> None:
        """`shared`: outputs go to shared memory, `into` which the run has written already what it could."""
        self._target = target
        self._request_id = request_id
        self._outputs = outputs
        self._started_s = started_s
        self._done = done
        self._shared = shared
        self._into = into

    def __call__(self, outcome: InferenceResult | OrtolanError) -> None:
        if isinstance(outcome, OrtolanError):
            self._done(outcome)
            return
        try:
            response = self._response(outcome)
        except OrtolanError as error:
            self._done(self._failed(error))
        except Exception:
            log.exception("response_failed", model=self._target.model, version=self._target.version)
            self._done(self._failed(InternalError()))
        else:
            self._done(response, self._target.statistics)

    def _failed(self, error: OrtolanError) -> OrtolanError:
        self._target.statistics.record_failure(error, total_s=time.monotonic() - self._started_s)
        return error

    def _response(self, result: InferenceResult) -> bytes:
        """Raises Overloaded for outputs that no message can carry, InvalidRequest for one that is over its place."""
        started_s = time.monotonic()
        target = self._target
        headers, arrays = self._outputs.headers, result.arrays
        if self._outputs.class_counts:
            headers, arrays = _classified(self._outputs, arrays, batched=target.signature.has_batch_axis)
        if self._shared is None:
            response = write_response(target.model, target.version, self._request_id, headers, arrays)
        else:
            places = self._shared.deliver(arrays, self._into)
            response = write_placed_response(target.model, target.version, self._request_id, headers, arrays, places)
        now_s = time.monotonic()
        target.statistics.record_success(
            batch_rows=result.batch_rows, encode_s=now_s - started_s, total_s=now_s - self._started_s
        )
        return response


def _classified(
    outputs: OutputPlan, arrays: Sequence[Array], *, batched: bool
) -> tuple[tuple[OutputHeader, ...], Sequence[Array]]:
    headers: list[OutputHeader] = []
    texts: list[Array] = []
    for header, array, class_count in zip(outputs.headers, arrays, outputs.class_counts, strict=True):
        headers.append(OutputHeader(header.name, "BYTES") if class_count else header)
        texts.append(classify(array, header.datatype, class_count, batched=batched) if class_count else array)
    return tuple(headers), texts


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
    request, raw = wire
    # Each access to a repeated field makes objects: once is enough, and a slice is its quickest copy.
    tensors = request.inputs[:]
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
