"""The service with a lookup of ours and the real engine."""

import math
import time
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from structlog.testing import capture_logs

from ortolan.inference.inference_pb2 import (
    InferParameter,
    InferTensorContents,
    ModelInferRequest,
    ModelInferResponse,
)
from ortolan_server.codec import InferRequest, read_request
from ortolan_server.errors import (
    CallCancelled,
    DeadlineExpired,
    InternalError,
    InvalidRequest,
    ModelNotFound,
    ModelNotReady,
    NotAllowed,
    OrtolanError,
)
from ortolan_server.services.inference import InferenceService
from ortolan_server.tensors import DATATYPES, encode_raw
from tests.server.services.models import WAIT_S, Done, Lookup, make_targets

Input = ModelInferRequest.InferInputTensor
Wanted = ModelInferRequest.InferRequestedOutputTensor


@pytest.fixture
def lookup() -> Iterator[Lookup]:
    lookup = Lookup(make_targets())
    for target in lookup.targets.values():
        target.engine.start()
    yield lookup
    for target in lookup.targets.values():
        target.engine.stop()


@pytest.fixture
def service(lookup: Lookup) -> InferenceService:
    return InferenceService(lookup, default_deadline_s=math.inf)


def wire(request: ModelInferRequest) -> InferRequest:
    return read_request(request.SerializeToString())


def infer(service: InferenceService, request: ModelInferRequest) -> ModelInferResponse:
    done = Done()
    service.infer(wire(request), math.inf, done)
    answer = done.only()
    assert isinstance(answer, bytes), repr(answer)
    return ModelInferResponse.FromString(answer)


def refused(service: InferenceService, request: ModelInferRequest) -> OrtolanError:
    done = Done()
    service.infer(wire(request), math.inf, done)
    answer = done.only()
    assert isinstance(answer, OrtolanError), answer
    return answer


def simple_request(**fields: object) -> ModelInferRequest:
    tensor = {"datatype": "INT32", "shape": [1, 16]}
    request = ModelInferRequest(
        model_name="simple",
        inputs=[Input(name="INPUT0", **tensor), Input(name="INPUT1", **tensor)],  # type: ignore[arg-type]
        raw_input_contents=[np.arange(16, dtype=np.int32).tobytes(), np.ones(16, np.int32).tobytes()],
    )
    request.MergeFrom(ModelInferRequest(**fields))  # type: ignore[arg-type]
    return request


def scores_request(rows: Sequence[Sequence[float]], *outputs: Wanted) -> ModelInferRequest:
    values = [value for row in rows for value in row]
    contents = InferTensorContents(fp32_contents=values)
    return ModelInferRequest(
        model_name="scores",
        inputs=[Input(name="x", datatype="FP32", shape=[len(rows), 3], contents=contents)],
        outputs=outputs,
    )


def test_answer_is_raw_and_says_who_answered(service: InferenceService) -> None:
    response = infer(service, simple_request(id="seven"))
    assert (response.model_name, response.model_version, response.id) == ("simple", "3", "seven")
    assert [(o.name, o.datatype, list(o.shape)) for o in response.outputs] == [
        ("OUTPUT0", "INT32", [1, 16]),
        ("OUTPUT1", "INT32", [1, 16]),
    ]
    assert not any(output.HasField("contents") for output in response.outputs)
    total, difference = (np.frombuffer(raw, np.int32).tolist() for raw in response.raw_output_contents)
    assert total == list(range(1, 17))
    assert difference == list(range(-1, 15))


def test_outputs_come_as_requested(service: InferenceService) -> None:
    response = infer(service, simple_request(outputs=[Wanted(name="OUTPUT1"), Wanted(name="OUTPUT0")]))
    assert [output.name for output in response.outputs] == ["OUTPUT1", "OUTPUT0"]
    assert np.frombuffer(response.raw_output_contents[0], np.int32)[0] == -1
    response = infer(service, simple_request(outputs=[Wanted(name="OUTPUT1")]))
    assert [output.name for output in response.outputs] == ["OUTPUT1"]
    assert len(response.raw_output_contents) == 1


def test_typed_contents(service: InferenceService) -> None:
    request = simple_request()
    del request.raw_input_contents[:]
    for tensor in request.inputs:
        tensor.contents.int_contents.extend([20] * 16)
    response = infer(service, request)
    assert np.frombuffer(response.raw_output_contents[0], np.int32).tolist() == [40] * 16


def test_every_datatype_there_and_back(service: InferenceService, lookup: Lookup) -> None:
    rows = {name: np.asarray([[1, 0], [1, 1]]).astype(datatype.dtype) for name, datatype in DATATYPES.items()}
    rows["BYTES"] = np.asarray([["ü", ""], ["x", "y"]], object)
    request = ModelInferRequest(
        model_name="echo",
        inputs=[Input(name=name, datatype=name, shape=[2, 2]) for name in DATATYPES],
        raw_input_contents=[encode_raw(rows[name]) for name in DATATYPES],
    )
    response = infer(service, request)
    assert [output.datatype for output in response.outputs] == list(DATATYPES)
    assert list(response.raw_output_contents) == list(request.raw_input_contents)
    assert [batch.batch_size for batch in lookup.targets["echo"].statistics.snapshot().batches] == [2]


@pytest.mark.parametrize("raw", [True, False])
def test_zero_size_tensors(service: InferenceService, *, raw: bool) -> None:
    request = ModelInferRequest(
        model_name="echo",
        inputs=[Input(name=name, datatype=name, shape=[0, 4]) for name in DATATYPES],
        raw_input_contents=[b""] * len(DATATYPES) if raw else [],
    )
    response = infer(service, request)
    assert [list(output.shape) for output in response.outputs] == [[0, 4]] * len(DATATYPES)
    assert list(response.raw_output_contents) == [b""] * len(DATATYPES)


def test_scalar(service: InferenceService) -> None:
    contents = InferTensorContents(fp32_contents=[2.5])
    response = infer(
        service,
        ModelInferRequest(model_name="scalar", inputs=[Input(name="x", datatype="FP32", contents=contents)]),
    )
    assert list(response.outputs[0].shape) == []
    assert np.frombuffer(response.raw_output_contents[0], np.float32).tolist() == [2.5]


def test_shape_that_came_out_is_reported_not_the_declared_one(service: InferenceService) -> None:
    response = infer(service, scores_request([[1, 2, 3], [4, 5, 6]], Wanted(name="scores")))
    assert list(response.outputs[0].shape) == [2, 3]


def test_classification(service: InferenceService) -> None:
    wanted = Wanted(name="scores", parameters={"classification": InferParameter(int64_param=2)})
    response = infer(service, scores_request([[0.5, 2, 1], [9, 8, 7]], wanted))
    (output,) = response.outputs
    assert (output.datatype, list(output.shape)) == ("BYTES", [2, 2])
    expected = np.asarray([["2.000000:1", "1.000000:2"], ["9.000000:0", "8.000000:1"]], object)
    assert response.raw_output_contents[0] == encode_raw(expected)


def with_changes(*, raw: Sequence[bytes] | None = None, **input0: object) -> ModelInferRequest:
    request = simple_request()
    if raw is not None:
        del request.raw_input_contents[:]
        request.raw_input_contents.extend(raw)
    if input0:
        tensor = {"name": "INPUT0", "datatype": "INT32", "shape": [1, 16]} | input0
        request.inputs[0].CopyFrom(Input(**tensor))  # type: ignore[arg-type]
    return request


DATA = b"\0" * 64
SHARED = {
    "shared_memory_region": InferParameter(string_param="r"),
    "shared_memory_byte_size": InferParameter(int64_param=64),
}


@pytest.mark.parametrize(
    ("request_", "error", "text"),
    [
        (simple_request(model_name="ghost"), ModelNotFound, "no model 'ghost'"),
        (simple_request(model_version="abc"), InvalidRequest, "version 'abc' is no number"),
        (with_changes(name="INPUT7"), InvalidRequest, "the model has no input 'INPUT7'"),
        (with_changes(name="INPUT1"), InvalidRequest, "input 'INPUT1' came more than once"),
        (with_changes(datatype="FP32"), InvalidRequest, "input 'INPUT0' has datatype FP32; wanted INT32"),
        (with_changes(shape=[16]), InvalidRequest, "input 'INPUT0' has shape [16] of rank 1; wanted [1,16] of rank 2"),
        (with_changes(shape=[2**62, 4]), InvalidRequest, "more bytes than can be counted"),
        (
            with_changes(parameters=SHARED),
            NotAllowed,
            "shared memory is switched off on this server (ortolan serve --shared-memory)",
        ),
        (with_changes(raw=[DATA]), InvalidRequest, "raw_input_contents has 1 entries; wanted 2, one for each input"),
        (with_changes(raw=[DATA] * 3), InvalidRequest, "raw_input_contents has 3 entries; wanted 2"),
        (with_changes(raw=[DATA, b""]), InvalidRequest, "input 'INPUT1' has 0 bytes of data; wanted 64"),
        (with_changes(raw=[]), InvalidRequest, "input 'INPUT0' has 0 elements in its contents; wanted 16"),
        (
            with_changes(contents=InferTensorContents(int_contents=[0] * 16)),
            InvalidRequest,
            "input 'INPUT0' has contents beside raw_input_contents; wanted one or the other",
        ),
        (
            simple_request(outputs=[Wanted(name="OUTPUT7")]),
            InvalidRequest,
            "the model has no output 'OUTPUT7'; it gives 'OUTPUT0' INT32[1,16], 'OUTPUT1' INT32[1,16]",
        ),
        (
            simple_request(outputs=[Wanted(name="OUTPUT1"), Wanted(name="OUTPUT1")]),
            InvalidRequest,
            "output 'OUTPUT1' is requested more than once",
        ),
        (
            simple_request(outputs=[Wanted(name="OUTPUT1", parameters=SHARED)]),
            NotAllowed,
            "shared memory is switched off on this server (ortolan serve --shared-memory)",
        ),
        (
            simple_request(parameters={"triton_magic": InferParameter(bool_param=True)}),
            InvalidRequest,
            "unknown parameter 'triton_magic'",
        ),
        (
            scores_request(
                [[1, 2, 3]], Wanted(name="names", parameters={"classification": InferParameter(int64_param=1)})
            ),
            InvalidRequest,
            "output 'names' is BYTES; classification wants numbers",
        ),
        (
            scores_request(
                [[1, 2, 3]], Wanted(name="scores", parameters={"classification": InferParameter(int64_param=0)})
            ),
            InvalidRequest,
            "output 'scores' asks for classification 0; wanted at least 1",
        ),
    ],
)
def test_refusals(service: InferenceService, request_: ModelInferRequest, error: type[OrtolanError], text: str) -> None:
    refusal = refused(service, request_)
    assert type(refusal) is error
    assert text in str(refusal)
    assert len(infer(service, simple_request()).outputs) == 2


def test_version_that_leaves_between_lookup_and_submit(service: InferenceService, lookup: Lookup) -> None:
    lookup.targets["simple"].serves = False
    assert isinstance(refused(service, simple_request()), ModelNotReady)


def test_fault_of_ours_is_logged_and_says_nothing(service: InferenceService) -> None:
    with capture_logs() as logs:
        assert type(refused(service, ModelInferRequest(model_name="bug"))) is InternalError
        assert type(refused(service, ModelInferRequest(model_name="unencodable"))) is InternalError
    assert [line["event"] for line in logs] == ["request_failed", "response_failed"]


@pytest.mark.parametrize(
    ("default_s", "given_s", "timeout_us"),
    [(0.01, None, None), (60.0, 0.01, None), (60.0, 60.0, 10_000), (60.0, None, 10_000), (0.01, None, 60_000_000)],
)
def test_nearest_deadline_ends_the_call(
    lookup: Lookup, default_s: float, given_s: float | None, timeout_us: int | None
) -> None:
    service = InferenceService(lookup, default_deadline_s=default_s)
    request = ModelInferRequest(model_name="hang")
    if timeout_us is not None:
        request.parameters["timeout"].int64_param = timeout_us
    done = Done()
    service.infer(wire(request), math.inf if given_s is None else time.monotonic() + given_s, done)
    assert isinstance(done.only(), DeadlineExpired)


def test_deadline_of_the_caller_may_be_later_than_the_default(lookup: Lookup) -> None:
    service = InferenceService(lookup, default_deadline_s=-1.0)
    done = Done()
    service.infer(wire(simple_request()), time.monotonic() + WAIT_S, done)
    assert isinstance(done.only(), bytes)


def test_ticket_cancels(service: InferenceService) -> None:
    done = Done()
    ticket = service.infer(wire(ModelInferRequest(model_name="hang")), math.inf, done)
    ticket.cancel()
    assert isinstance(done.only(), CallCancelled)
    ticket.cancel()
    assert len(done.all) == 1


def test_ticket_of_a_refused_request_does_nothing(service: InferenceService) -> None:
    done = Done()
    service.infer(wire(ModelInferRequest(model_name="ghost")), math.inf, done).cancel()
    assert isinstance(done.only(), ModelNotFound)


def test_statistics_are_complete_when_the_answer_comes(service: InferenceService, lookup: Lookup) -> None:
    started_ns = time.monotonic_ns()
    infer(service, scores_request([[1, 2, 3], [4, 5, 6]]))
    took_ns = time.monotonic_ns() - started_ns
    refused(service, scores_request([[1, 2, 3]], Wanted(name="nothing")))
    snapshot = lookup.targets["scores"].statistics.snapshot()
    assert (snapshot.inference_count, snapshot.execution_count) == (2, 1)
    parts = (snapshot.queue, snapshot.compute_input, snapshot.compute_infer, snapshot.compute_output)
    assert [part.count for part in parts] == [1, 1, 1, 1]
    assert (snapshot.success.count, snapshot.fail.count) == (1, 0)
    assert sum(part.ns for part in parts) - len(parts) <= snapshot.success.ns <= took_ns + 1
    assert min(snapshot.compute_input.ns, snapshot.compute_output.ns) > 0


def test_response_that_cannot_be_made_counts_as_failure(service: InferenceService, lookup: Lookup) -> None:
    with capture_logs():
        assert type(refused(service, ModelInferRequest(model_name="unencodable"))) is InternalError
    snapshot = lookup.targets["unencodable"].statistics.snapshot()
    assert (snapshot.execution_count, snapshot.success.count, snapshot.fail.count) == (1, 0, 1)
    assert snapshot.fail.ns > snapshot.compute_infer.ns
    assert snapshot.compute_output.count == 0
