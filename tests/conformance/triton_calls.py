"""tritonclient.grpc as it is: unary calls, waited for or with a callback."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ml_dtypes
import numpy as np
import tritonclient.grpc as triton
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from tests.conformance.expecting import expect, expect_array, expect_in
from tests.conformance.models import ENDLESS, TWICE, twice, twice_model

__all__ = ["CALLS", "CLIENT", "fails", "simple_inputs", "tensor"]

CLIENT = "tritonclient.grpc"
LIMIT_S = 30.0
A = np.arange(16, dtype=np.int32).reshape(1, 16)
B = np.full((1, 16), 3, np.int32)


def tensor(name: str, datatype: str, array: NDArray[Any], *, kind: Any = triton.InferInput) -> Any:
    value = kind(name, list(array.shape), datatype)
    value.set_data_from_numpy(array)
    return value


def simple_inputs(a: NDArray[Any] = A, *, kind: Any = triton.InferInput) -> list[Any]:
    """Inputs of `simple`: a and 3."""
    return [tensor("INPUT0", "INT32", a, kind=kind), tensor("INPUT1", "INT32", B, kind=kind)]


@contextmanager
def fails(status: str, message: str = "") -> Iterator[None]:
    """Raises AssertionError unless the block raises the client's exception with that status."""
    try:
        yield
    except InferenceServerException as error:
        expect(error.status(), status)
        expect_in(message, error.message())
    else:
        raise AssertionError(f"nothing was raised; wanted {status}")


def _with_client(use: Callable[[Any], None]) -> Callable[[str], None]:
    def call(address: str) -> None:
        with triton.InferenceServerClient(address) as client:
            use(client)

    call.__name__ = use.__name__.lstrip("_")
    return call


def _of_datatype(datatype: str) -> Callable[[Any], None]:
    def infer(client: Any) -> None:
        x = TWICE[datatype]
        result = client.infer(twice_model(datatype), [tensor("x", datatype, x)])
        wanted = twice(x)
        if datatype == "BYTES":
            wanted = np.array([[text.encode() for text in wanted[0]]], object)
        expect_array(result.as_numpy("y"), wanted)

    infer.__name__ = f"infer_{datatype.lower()}"
    return infer


def server_live(client: Any) -> None:
    expect(client.is_server_live(), True)


def server_ready(client: Any) -> None:
    expect(client.is_server_ready(), True)


def model_ready(client: Any) -> None:
    expect(client.is_model_ready("simple"), True)
    expect(client.is_model_ready("simple", "1"), True)
    expect(client.is_model_ready("broken"), False)


def model_ready_of_an_unknown_model(client: Any) -> None:
    with fails("StatusCode.NOT_FOUND", "no model 'nobody'"):
        client.is_model_ready("nobody")


def server_metadata(client: Any) -> None:
    metadata = client.get_server_metadata()
    expect(metadata.name, "ortolan")
    expect("statistics" in metadata.extensions, True)


def model_metadata(client: Any) -> None:
    metadata = client.get_model_metadata("add_one")
    expect([(it.name, it.datatype, list(it.shape)) for it in metadata.inputs], [("x", "FP32", [-1, 2])])
    expect([(it.name, it.datatype, list(it.shape)) for it in metadata.outputs], [("y", "FP32", [-1, 2])])


def model_config(client: Any) -> None:
    config = client.get_model_config("twice_bytes", as_json=True)["config"]
    expect((config["name"], config["backend"]), ("twice_bytes", "onnxruntime"))
    expect(config["input"], [{"name": "x", "data_type": "TYPE_STRING", "dims": ["-1", "3"]}])


def repository_index(client: Any) -> None:
    index = {it.name: it.state for it in client.get_model_repository_index().models}
    expect((index["simple"], index["broken"]), ("READY", "FAILED"))


def infer(client: Any) -> None:
    result = client.infer("simple", simple_inputs())
    expect_array(result.as_numpy("OUTPUT0"), A + B)
    expect_array(result.as_numpy("OUTPUT1"), A - B)


def infer_one_output_with_an_id(client: Any) -> None:
    result = client.infer("simple", simple_inputs(), "1", [triton.InferRequestedOutput("OUTPUT1")], request_id="id äöü")
    expect_array(result.as_numpy("OUTPUT1"), A - B)
    expect(result.as_numpy("OUTPUT0"), None)
    expect((result.get_response().id, result.get_response().model_version), ("id äöü", "1"))


def infer_a_scalar(client: Any) -> None:
    result = client.infer("scalar", [tensor("x", "FP32", np.array(2.5, np.float32))])
    expect_array(result.as_numpy("y"), np.array(3.5, np.float32))


def infer_no_rows(client: Any) -> None:
    result = client.infer("add_one", [tensor("x", "FP32", np.empty((0, 2), np.float32))])
    expect_array(result.as_numpy("y"), np.empty((0, 2), np.float32))


def infer_bfloat16_arithmetic(client: Any) -> None:
    x = np.array([0.5, -2.0, 3.0, 255.0], ml_dtypes.bfloat16)
    result = client.infer("add_one_bf16", [tensor("x", "BF16", x)])
    expect_array(result.as_numpy("y"), (x.astype(np.float32) + 1).astype(ml_dtypes.bfloat16))


def infer_bytes_of_no_ascii(client: Any) -> None:
    texts = ["", "grüße", "日本語", "🧀" * 1000, "a\0b"]
    result = client.infer("text", [tensor("x", "BYTES", np.array(texts, object))])
    expect([it.decode() for it in result.as_numpy("y")], texts)


def infer_bytes_from_bytes(client: Any) -> None:
    data = np.array([text.encode() for text in ("Käse", "x")], object)
    expect_array(client.infer("text", [tensor("x", "BYTES", data)]).as_numpy("y"), data)


def infer_bytes_that_are_no_text(client: Any) -> None:
    with fails("StatusCode.INVALID_ARGUMENT", "is not UTF-8"):
        client.infer("text", [tensor("x", "BYTES", np.array([b"\xff\xfe"], object))])


def infer_compressed(client: Any) -> None:
    for algorithm in ("gzip", "deflate"):
        result = client.infer("simple", simple_inputs(), compression_algorithm=algorithm)
        expect_array(result.as_numpy("OUTPUT0"), A + B)


def infer_with_parameters(client: Any) -> None:
    result = client.infer(
        "simple", simple_inputs(), sequence_id=7, sequence_start=True, priority=1, parameters={"mine": "yes"}
    )
    expect_array(result.as_numpy("OUTPUT0"), A + B)


def classification(client: Any) -> None:
    wanted = [triton.InferRequestedOutput("OUTPUT0", class_count=3)]
    result = client.infer("simple", simple_inputs(), outputs=wanted)
    best = np.argsort(-(A + B).ravel(), kind="stable")[:3]
    expect_array(result.as_numpy("OUTPUT0"), np.array([f"{(A + B)[0, at]}:{at}".encode() for at in best], object))


def classification_of_rows(client: Any) -> None:
    x = np.array([[1, 5], [9, 2]], np.float32)
    result = client.infer(
        "add_one", [tensor("x", "FP32", x)], outputs=[triton.InferRequestedOutput("y", class_count=1)]
    )
    expect_array(result.as_numpy("y"), np.array([[b"6.000000:1"], [b"10.000000:0"]], object))


def infer_with_a_wrong_datatype(client: Any) -> None:
    with fails("StatusCode.INVALID_ARGUMENT", "wanted FP32"):
        client.infer("add_one", [tensor("x", "INT32", np.zeros((1, 2), np.int32))])


def infer_with_an_unknown_model(client: Any) -> None:
    with fails("StatusCode.NOT_FOUND", "no model 'nobody'"):
        client.infer("nobody", simple_inputs())


def statistics_count_what_was_inferred(client: Any) -> None:
    def count() -> tuple[int, int]:
        (model,) = client.get_inference_statistics("add_one").model_stats
        return model.inference_count, model.inference_stats.success.count

    rows, calls = count()
    client.infer("add_one", [tensor("x", "FP32", np.zeros((5, 2), np.float32))])
    expect(count(), (rows + 5, calls + 1))


def client_timeout(client: Any) -> None:
    inputs = [tensor("n", "INT64", np.array(ENDLESS))]
    with fails("StatusCode.DEADLINE_EXCEEDED"):
        client.infer("count", inputs, client_timeout=0.3)
    # The run was stopped: the model's only worker is free again.
    result = client.infer("count", [tensor("n", "INT64", np.array(10))], client_timeout=LIMIT_S)
    expect_array(result.as_numpy("y"), np.array(10))


def request_timeout(client: Any) -> None:
    with fails("StatusCode.DEADLINE_EXCEEDED", "deadline passed"):
        client.infer("count", [tensor("n", "INT64", np.array(ENDLESS))], timeout=300_000)


def unload_and_load(client: Any) -> None:
    client.unload_model("sum")
    expect(client.is_model_ready("sum"), False)
    with fails("StatusCode.UNAVAILABLE", "UNLOADED"):
        client.infer("sum", [tensor(name, "FP32", np.ones((1, 1), np.float32)) for name in "ab"])
    client.load_model("sum")
    result = client.infer("sum", [tensor(name, "FP32", np.ones((1, 1), np.float32)) for name in "ab"])
    expect_array(result.as_numpy("y"), np.full((1, 1), 2, np.float32))


def load_of_an_unknown_model(client: Any) -> None:
    with fails("StatusCode.NOT_FOUND", "no model 'nobody'"):
        client.load_model("nobody")


def shared_memory_is_off(client: Any) -> None:
    expect("system_shared_memory" in client.get_server_metadata().extensions, False)
    with fails("StatusCode.PERMISSION_DENIED", "ortolan serve --shared-memory"):
        client.get_system_shared_memory_status()


def async_infer(client: Any) -> None:
    """Eight at once, each with its callback."""
    came: dict[int, Any] = {}
    all_came = threading.Event()

    def done(number: int, result: Any, error: Any) -> None:
        came[number] = error or result.as_numpy("OUTPUT0")
        if len(came) == 8:
            all_came.set()

    for number in range(8):
        client.async_infer(
            "simple", simple_inputs(A * number), lambda result, error, number=number: done(number, result, error)
        )
    expect(all_came.wait(LIMIT_S), True)
    for number in range(8):
        expect_array(came[number], A * number + B)


def async_infer_that_fails(client: Any) -> None:
    expect(_async_error(client, "nobody", simple_inputs()).status(), "StatusCode.NOT_FOUND")


def async_infer_that_is_cancelled(client: Any) -> None:
    error = _async_error(client, "count", [tensor("n", "INT64", np.array(ENDLESS))], cancel=True)
    expect(error.status(), "StatusCode.CANCELLED")
    result = client.infer("count", [tensor("n", "INT64", np.array(3))], client_timeout=LIMIT_S)
    expect_array(result.as_numpy("y"), np.array(3))


def _async_error(client: Any, model: str, inputs: Sequence[Any], *, cancel: bool = False) -> Any:
    errors: list[Any] = []
    came = threading.Event()

    def done(result: Any, error: Any) -> None:
        errors.append(error)
        came.set()

    call = client.async_infer(model, inputs, done)
    if cancel:
        call.cancel()
    expect(came.wait(LIMIT_S), True)
    return errors[0]


CALLS = tuple(
    map(
        _with_client,
        (
            server_live,
            server_ready,
            model_ready,
            model_ready_of_an_unknown_model,
            server_metadata,
            model_metadata,
            model_config,
            repository_index,
            infer,
            infer_one_output_with_an_id,
            infer_a_scalar,
            infer_no_rows,
            *map(_of_datatype, TWICE),
            infer_bfloat16_arithmetic,
            infer_bytes_of_no_ascii,
            infer_bytes_from_bytes,
            infer_bytes_that_are_no_text,
            infer_compressed,
            infer_with_parameters,
            classification,
            classification_of_rows,
            infer_with_a_wrong_datatype,
            infer_with_an_unknown_model,
            statistics_count_what_was_inferred,
            client_timeout,
            request_timeout,
            unload_and_load,
            load_of_an_unknown_model,
            shared_memory_is_off,
            async_infer,
            async_infer_that_fails,
            async_infer_that_is_cancelled,
        ),
    )
)
