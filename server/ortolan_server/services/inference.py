"""ModelInfer, and one message of ModelStreamInfer: a request in, the bytes of a response or a domain error out."""

import math
import time
from collections.abc import Sequence
from typing import Protocol

import structlog

from ortolan_server.codec import InferRequest, write_placed_response, write_response
from ortolan_server.engine.call import Array, InferenceCall, InferenceResult, Pump, Reply, Ticket
from ortolan_server.engine.statistics import Statistics
from ortolan_server.errors import InternalError, ModelNotFound, ModelNotReady, OrtolanError, ServerStopping
from ortolan_server.services.classification import classify
from ortolan_server.services.reading import read
from ortolan_server.services.rejections import Rejections
from ortolan_server.services.shared_outputs import SharedOutputs
from ortolan_server.shared_memory import Regions
from ortolan_server.tensors import OutputHeader, OutputPlan, Signature
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
        while True:
            target = self._lookup.find(request.model_name, request.model_version)
            try:
                return self._submit_to(target, wire, started_s, deadline_s, done, pump)
            except (ModelNotReady, ServerStopping):
                # A reload may have put another version in its place since it was found.
                if self._lookup.find(request.model_name, request.model_version) is target:
                    raise

    def _submit_to(  # noqa: PLR0913 - all that a call is made of
        self,
        target: InferenceTarget,
        wire: InferRequest,
        started_s: float,
        deadline_s: float,
        done: Done,
        pump: Pump | None,
    ) -> Ticket:
        request = wire.message
        (_, plan, outputs, timeout_s, bucket), feeds, shared, into = read(wire, target.signature, self._regions)
        if deadline_s == math.inf:
            deadline_s = started_s + self._default_deadline_s
        if timeout_s != math.inf:
            deadline_s = min(deadline_s, started_s + timeout_s)
        decode_s = time.monotonic() - started_s
        call = InferenceCall(feeds, outputs.names, deadline_s, plan.rows, decode_s, bucket, into)
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
