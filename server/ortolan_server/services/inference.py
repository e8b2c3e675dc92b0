"""ModelInfer, and one message of ModelStreamInfer: a request in, a response or a domain error out."""

import math
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

import structlog

from ortolan.inference.inference_pb2 import ModelInferRequest, ModelInferResponse, ModelStreamInferResponse
from ortolan_server.engine.call import Array, InferenceCall, InferenceResult, Reply, Ticket
from ortolan_server.engine.statistics import Statistics
from ortolan_server.errors import InternalError, InvalidRequest, OrtolanError, Overloaded
from ortolan_server.services.classification import classify
from ortolan_server.services.parameters import check_input_parameters, classification_count, requested_timeout_s
from ortolan_server.tensors import Signature, TensorHeader, TensorSpec, decode_contents, decode_raw, encode_raw
from ortolan_server.tensors.wording import quoted

__all__ = ["Done", "InferenceService", "InferenceTarget", "ModelLookup", "stream_answer", "stream_error"]

log = structlog.get_logger()

Done = Callable[[ModelInferResponse | OrtolanError], None]
"""Called exactly once for each request, from any thread, `infer()`'s own included and before it returns; must return
soon and must not raise."""


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

    def submit(self, call: InferenceCall, reply: Reply) -> Ticket:
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

    def __init__(self, lookup: ModelLookup, default_deadline_s: float) -> None:
        """`default_deadline_s` is how long a call may take whose caller does not say; `math.inf`: for ever."""
        self._lookup = lookup
        self._default_deadline_s = default_deadline_s

    def infer(self, request: ModelInferRequest, deadline_s: float, done: Done) -> Ticket:
        """Reads `request`, submits it to its model and calls `done` with the response or an error.

        `deadline_s` is the caller's, on the clock of `time.monotonic()`; `math.inf`: it has none. The ticket
        cancels the call; it also takes a call that has ended.
        """
        started_s = time.monotonic()
        try:
            return self._submit(request, started_s, deadline_s, done)
        except OrtolanError as error:
            done(error)
        except Exception:
            log.exception("request_failed", model=quoted(request.model_name))
            done(InternalError())
        return _ENDED

    def _submit(self, request: ModelInferRequest, started_s: float, deadline_s: float, done: Done) -> Ticket:
        target = self._lookup.find(request.model_name, request.model_version)
        signature = target.signature
        timeout_s = requested_timeout_s(request.parameters)
        outputs = _requested_outputs(request, signature)
        feeds = _feeds(request, signature)
        rows = len(next(iter(feeds.values()))) if signature.has_batch_axis else 1
        if deadline_s == math.inf:
            deadline_s = started_s + self._default_deadline_s
        call = InferenceCall(
            feeds,
            tuple(output.spec.name for output in outputs),
            min(deadline_s, started_s + timeout_s),
            rows=rows,
            decode_s=time.monotonic() - started_s,
        )
        return target.submit(call, _Answer(target, request.id, outputs, rows, started_s, done))


def stream_answer(response: ModelInferResponse) -> ModelStreamInferResponse:
    """The stream message for a response: the only one to its request, and so the final one."""
    message = ModelStreamInferResponse(infer_response=response)
    message.infer_response.parameters["triton_final_response"].bool_param = True
    return message


def stream_error(request: ModelInferRequest, error: OrtolanError) -> ModelStreamInferResponse:
    """The stream message for a request that failed; the stream goes on."""
    # An empty text would read as success.
    message = ModelStreamInferResponse(error_message=str(error) or type(error).__name__)
    message.infer_response.id = request.id
    return message


# gRPC counts a message's bytes in an int32; names and shapes need some of them.
_MOST_OUTPUT_BYTES = 2**31 - 2**20


class _Output(NamedTuple):
    spec: TensorSpec
    class_count: int
    """0: the tensor itself."""


class _Ended:
    """The ticket of a request that was answered before it came to an engine."""

    def cancel(self) -> None:
        pass


_ENDED = _Ended()


class _Answer:
    """The engine's reply to one request."""

    __slots__ = ("_done", "_outputs", "_request_id", "_rows", "_started_s", "_target")

    def __init__(  # noqa: PLR0913 - all that a response is made of
        self,
        target: InferenceTarget,
        request_id: str,
        outputs: tuple[_Output, ...],
        rows: int,
        started_s: float,
        done: Done,
    ) -> None:
        self._target = target
        self._request_id = request_id
        self._outputs = outputs
        self._rows = rows
        self._started_s = started_s
        self._done = done

    def __call__(self, outcome: InferenceResult | OrtolanError) -> None:
        answer: ModelInferResponse | OrtolanError
        if isinstance(outcome, OrtolanError):
            answer = outcome
        else:
            try:
                answer = self._response(outcome)
            except OrtolanError as error:
                answer = self._failed(error)
            except Exception:
                log.exception("response_failed", model=self._target.model, version=self._target.version)
                answer = self._failed(InternalError())
        self._done(answer)

    def _failed(self, error: OrtolanError) -> OrtolanError:
        self._target.statistics.record_failure(total_s=time.monotonic() - self._started_s)
        return error

    def _response(self, result: InferenceResult) -> ModelInferResponse:
        """Raises Overloaded for outputs that no message can carry."""
        size = sum(array.nbytes for array in result.arrays)
        if size > _MOST_OUTPUT_BYTES:
            raise Overloaded(
                f"the outputs have {size} bytes together, and a gRPC message carries at most {_MOST_OUTPUT_BYTES}: "
                "ask for fewer rows or outputs"
            )
        started_s = time.monotonic()
        target = self._target
        response = ModelInferResponse(model_name=target.model, model_version=target.version, id=self._request_id)
        for (spec, class_count), result_array in zip(self._outputs, result.arrays, strict=True):
            array: Array = result_array
            datatype = spec.datatype
            if class_count:
                array = classify(array, datatype, class_count, batched=target.signature.has_batch_axis)
                datatype = "BYTES"
            # The shape that came out: the declared one may be wrong.
            response.outputs.add(name=spec.name, datatype=datatype, shape=array.shape)
            response.raw_output_contents.append(encode_raw(array))
        now_s = time.monotonic()
        target.statistics.record_success(rows=self._rows, encode_s=now_s - started_s, total_s=now_s - self._started_s)
        return response


def _requested_outputs(request: ModelInferRequest, signature: Signature) -> tuple[_Output, ...]:
    if not request.outputs:
        return tuple(_Output(spec, 0) for spec in signature.outputs)
    outputs: dict[str, _Output] = {}
    for wanted in request.outputs:
        spec = signature.output(wanted.name)
        if spec.name in outputs:
            raise InvalidRequest(f"output {quoted(spec.name)} is requested more than once")
        class_count = classification_count(spec.name, wanted.parameters)
        if class_count and spec.datatype == "BYTES":
            raise InvalidRequest(f"output {quoted(spec.name)} is BYTES; classification wants numbers")
        outputs[spec.name] = _Output(spec, class_count)
    return tuple(outputs.values())


def _feeds(request: ModelInferRequest, signature: Signature) -> dict[str, Array]:
    # Each access to a repeated field makes objects: once is enough.
    tensors = list(request.inputs)
    headers = [TensorHeader(tensor.name, tensor.datatype, tuple(tensor.shape)) for tensor in tensors]
    signature.check(headers)
    for tensor in tensors:
        check_input_parameters(tensor.name, tensor.parameters)
    raw = list(request.raw_input_contents)
    if not raw:
        return {
            header.name: decode_contents(header, tensor.contents)
            for header, tensor in zip(headers, tensors, strict=True)
        }
    for tensor in tensors:
        if tensor.HasField("contents"):
            raise InvalidRequest(
                f"input {quoted(tensor.name)} has contents beside raw_input_contents; wanted one or the other"
            )
    if len(raw) != len(headers):
        raise InvalidRequest(f"raw_input_contents has {len(raw)} entries; wanted {len(headers)}, one for each input")
    return {header.name: decode_raw(header, data) for header, data in zip(headers, raw, strict=True)}
