"""tritonclient.grpc as it is: streams."""

import queue
from collections.abc import Callable
from typing import Any

import numpy as np
import tritonclient.grpc as triton

from tests.conformance.expecting import expect, expect_array, expect_in
from tests.conformance.models import ENDLESS, TWICE, twice
from tests.conformance.triton_calls import CLIENT, LIMIT_S, A, B, simple_inputs, tensor

__all__ = ["CALLS", "CLIENT"]


class _Stream:
    """An open stream of a client of its own, and what its callback is given, in order."""

    def __init__(self, address: str, **how: Any) -> None:
        self.client = triton.InferenceServerClient(address)
        self._came: queue.SimpleQueue[tuple[Any, Any]] = queue.SimpleQueue()
        self.client.start_stream(lambda result, error: self._came.put((result, error)), **how)

    def send(self, model: str, inputs: list[Any], request_id: str, **more: Any) -> None:
        self.client.async_stream_infer(model, inputs, request_id=request_id, **more)

    def result(self) -> Any:
        result, error = self._came.get(timeout=LIMIT_S)
        assert error is None, f"{error} came; wanted a result"
        return result

    def error(self) -> Any:
        result, error = self._came.get(timeout=LIMIT_S)
        assert error is not None, f"{result.get_response()} came; wanted an error"
        return error


def _with_stream(use: Callable[[_Stream], None], **how: Any) -> Callable[[str], None]:
    def call(address: str) -> None:
        stream = _Stream(address, **how)
        try:
            use(stream)
        finally:
            stream.client.stop_stream(cancel_requests=True)
            stream.client.close()

    call.__name__ = use.__name__
    return call


def stream_in_order(stream: _Stream) -> None:
    for number in range(100):
        stream.send("simple", simple_inputs(A * number), str(number))
    for number in range(100):
        result = stream.result()
        expect(result.get_response().id, str(number))
        expect_array(result.as_numpy("OUTPUT0"), A * number + B)


def stream_of_several_models(stream: _Stream) -> None:
    stream.send("count", [tensor("n", "INT64", np.array(200_000))], "slow")
    stream.send("twice_bf16", [tensor("x", "BF16", TWICE["BF16"])], "quick")
    stream.send("text", [tensor("x", "BYTES", np.array(["ü"], object))], "text")
    expect_array(stream.result().as_numpy("y"), np.array(200_000))
    expect_array(stream.result().as_numpy("y"), twice(TWICE["BF16"]))
    expect_array(stream.result().as_numpy("y"), np.array(["ü".encode()], object))


def stream_goes_on_after_an_error(stream: _Stream) -> None:
    stream.send("simple", simple_inputs(), "before")
    stream.send("nobody", simple_inputs(), "bad")
    stream.send("simple", simple_inputs()[:1], "bad too")
    stream.send("simple", simple_inputs(), "after")
    expect(stream.result().get_response().id, "before")
    expect_in("no model 'nobody'", stream.error().message())
    expect_in("missing input 'INPUT1'", stream.error().message())
    result = stream.result()
    expect(result.get_response().id, "after")
    expect_array(result.as_numpy("OUTPUT1"), A - B)


def stream_says_which_answer_is_final(stream: _Stream) -> None:
    stream.send("simple", simple_inputs(), "only", enable_empty_final_response=True)
    stream.send("simple", simple_inputs(), "next")
    parameters = stream.result().get_response().parameters
    expect(parameters["triton_final_response"].bool_param, True)
    expect(stream.result().get_response().id, "next")


def stream_compressed(stream: _Stream) -> None:
    stream.send("simple", simple_inputs(), "")
    expect_array(stream.result().as_numpy("OUTPUT0"), A + B)


def stream_with_real_status_ends_at_an_error(stream: _Stream) -> None:
    stream.send("simple", simple_inputs(), "before")
    expect(stream.result().get_response().id, "before")
    stream.send("nobody", simple_inputs(), "bad")
    error = stream.error()
    expect(error.status(), "StatusCode.NOT_FOUND")
    expect_in("no model 'nobody'", error.message())


def stream_timeout(stream: _Stream) -> None:
    stream.send("count", [tensor("n", "INT64", np.array(ENDLESS))], "long")
    error = stream.error()
    if error.status() is None:  # the server's own clock was first: it answers in the stream, which then ends
        expect_in("the deadline passed", error.message())
        error = stream.error()
    expect(error.status(), "StatusCode.DEADLINE_EXCEEDED")


def stream_that_is_cancelled(stream: _Stream) -> None:
    stream.send("count", [tensor("n", "INT64", np.array(ENDLESS))], "long")
    stream.client.stop_stream(cancel_requests=True)
    expect(stream.error().status(), "StatusCode.CANCELLED")
    # Its run was stopped: the model's only worker is free again.
    result = stream.client.infer("count", [tensor("n", "INT64", np.array(5))], client_timeout=LIMIT_S)
    expect_array(result.as_numpy("y"), np.array(5))


CALLS = (
    _with_stream(stream_in_order),
    _with_stream(stream_of_several_models),
    _with_stream(stream_goes_on_after_an_error),
    _with_stream(stream_says_which_answer_is_final),
    _with_stream(stream_compressed, compression_algorithm="gzip"),
    _with_stream(stream_with_real_status_ends_at_an_error, headers={"triton_grpc_error": "true"}),
    _with_stream(stream_timeout, stream_timeout=0.3),
    _with_stream(stream_that_is_cancelled),
)
