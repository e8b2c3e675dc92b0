"""Inferences with tensors in shared memory, on a real server, through Triton's client and its own helpers."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from numpy.typing import NDArray
from onnx import TensorProto
from tritonclient.utils import InferenceServerException, serialize_byte_tensor
from tritonclient.utils import shared_memory as shm

from ortolan_server.shared_memory.objects import FOLDER
from tests import models
from tests.serving import RunningServer, running_server

LARGE = 2**18  # floats: a mebibyte, of which outputs are bound
LIMIT_S = 30.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("models")
    models.save(models.identity(TensorProto.FLOAT, ["N", "M"]), folder / "floats")
    models.save(models.identity(TensorProto.FLOAT, ["N", None]), folder / "unknown")
    models.save(models.identity(TensorProto.STRING, ["N"]), folder / "texts")
    models.save(models.identity(TensorProto.BOOL, ["N"]), folder / "flags")
    models.save(models.identity(TensorProto.BFLOAT16, ["N"]), folder / "halves")
    models.save(models.simple(), folder / "simple")
    with running_server(folder, "--shared-memory", "--shared-memory-size", "64MiB") as server:
        yield server


class Shared:
    """A client, and regions that go with it."""

    def __init__(self, address: str) -> None:
        self.client = triton.InferenceServerClient(address)
        self._handles: list[Any] = []

    def region(self, name: str, size_bytes: int) -> Any:
        key = f"/ortolan-test-{secrets.token_hex(8)}"
        handle = shm.create_shared_memory_region(name, key, size_bytes, create_only=True)
        self._handles.append(handle)
        self.client.register_system_shared_memory(name, key, size_bytes)
        return handle

    def close(self) -> None:
        self.client.unregister_system_shared_memory()
        for handle in self._handles:
            shm.destroy_shared_memory_region(handle)
        self.client.close()


@pytest.fixture
def shared(server: RunningServer) -> Iterator[Shared]:
    shared = Shared(server.address)
    yield shared
    shared.close()


def placed(  # noqa: PLR0913 - a tensor and its place
    name: str, shape: list[int], datatype: str, region: str, size_bytes: int, offset: int = 0
) -> Any:
    tensor = triton.InferInput(name, shape, datatype)
    tensor.set_shared_memory(region, size_bytes, offset)
    return tensor


def wanted(name: str, region: str, size_bytes: int, offset: int = 0) -> Any:
    output = triton.InferRequestedOutput(name)
    output.set_shared_memory(region, size_bytes, offset)
    return output


def floats(count: int) -> NDArray[np.float32]:
    return np.arange(count, dtype=np.float32).reshape(1, -1)


@pytest.mark.parametrize("model", ["floats", "unknown"])
@pytest.mark.parametrize("count", [4, LARGE])
@pytest.mark.parametrize("offset", [0, 4, 5])
def test_there_and_back(shared: Shared, model: str, count: int, offset: int) -> None:
    """Small and large, of shapes that are known before and that are not, aligned and not."""
    x = floats(count)
    size = x.nbytes + offset
    into = shared.region("out", size)
    shm.set_shared_memory_region(shared.region("in", size), [np.frombuffer(x.tobytes(), np.uint8)], offset)
    result = shared.client.infer(
        model,
        [placed("x", [1, count], "FP32", "in", x.nbytes, offset)],
        outputs=[wanted("y", "out", x.nbytes, offset)],
    )
    raw = shm.get_contents_as_numpy(into, np.uint8, [x.nbytes], offset)
    assert bytes(raw) == x.tobytes()
    del raw
    output = result.get_output("y")
    assert output.shape == [1, count]
    assert output.parameters["shared_memory_region"].string_param == "out"
    assert output.parameters["shared_memory_byte_size"].int64_param == x.nbytes
    assert output.parameters["shared_memory_offset"].int64_param == offset
    assert list(result.get_response().raw_output_contents) == [b""]


@pytest.mark.parametrize("count", [4, LARGE])
def test_in_place(shared: Shared, count: int) -> None:
    """An output over its own input: it must not change what is still to be read."""
    x = floats(count)
    handle = shared.region("r", x.nbytes)
    shm.set_shared_memory_region(handle, [x])
    shared.client.infer(
        "floats", [placed("x", [1, count], "FP32", "r", x.nbytes)], outputs=[wanted("y", "r", x.nbytes)]
    )
    assert bytes(handle._mpsm_handle.buf[: x.nbytes]) == x.tobytes()


def test_some_of_them(shared: Shared) -> None:
    """Entries of raw contents pair with the other inputs, and with the outputs by their index."""
    a, b = np.arange(16, dtype=np.int32).reshape(1, 16), np.full((1, 16), 3, np.int32)
    shm.set_shared_memory_region(shared.region("in", 64), [b])
    into = shared.region("out", 64)
    first = triton.InferInput("INPUT0", [1, 16], "INT32")
    first.set_data_from_numpy(a)
    result = shared.client.infer(
        "simple",
        [placed("INPUT1", [1, 16], "INT32", "in", 64), first],
        outputs=[wanted("OUTPUT0", "out", 64), triton.InferRequestedOutput("OUTPUT1")],
    )
    np.testing.assert_array_equal(result.as_numpy("OUTPUT1"), a - b)
    assert bytes(into._mpsm_handle.buf[:64]) == (a + b).tobytes()


def test_texts(shared: Shared) -> None:
    texts = np.array(["", "Käse 🧀", "a\0b"], object)
    data = serialize_byte_tensor(texts)
    size = len(data.item())
    shm.set_shared_memory_region(shared.region("in", size), [data])
    into = shared.region("out", 100)
    result = shared.client.infer("texts", [placed("x", [3], "BYTES", "in", size)], outputs=[wanted("y", "out", 100)])
    assert [text.decode() for text in shm.get_contents_as_numpy(into, np.object_, [3])] == texts.tolist()
    assert result.get_output("y").parameters["shared_memory_byte_size"].int64_param == size


@pytest.mark.parametrize(("model", "datatype", "data"), [("flags", "BOOL", b"\1\0\1"), ("halves", "BF16", b"abcdef")])
def test_other_datatypes(shared: Shared, model: str, datatype: str, data: bytes) -> None:
    shm.set_shared_memory_region(shared.region("in", len(data)), [np.frombuffer(data, np.uint8)])
    into = shared.region("out", len(data))
    shared.client.infer(model, [placed("x", [3], datatype, "in", len(data))], outputs=[wanted("y", "out", len(data))])
    assert bytes(into._mpsm_handle.buf[: len(data)]) == data


def test_stream(shared: Shared) -> None:
    x = floats(LARGE)
    shm.set_shared_memory_region(shared.region("in", x.nbytes), [x])
    into = shared.region("out", x.nbytes)
    came: SimpleQueue[Any] = SimpleQueue()
    shared.client.start_stream(lambda result, error: came.put((result, error)))
    inputs = [placed("x", [1, LARGE], "FP32", "in", x.nbytes)]
    shared.client.async_stream_infer("floats", inputs, outputs=[wanted("y", "nowhere", x.nbytes)])
    shared.client.async_stream_infer("floats", inputs, outputs=[wanted("y", "out", x.nbytes)])
    (_, failed), (result, error) = came.get(timeout=LIMIT_S), came.get(timeout=LIMIT_S)
    shared.client.stop_stream()
    assert "no shared memory region 'nowhere' is registered" in str(failed)
    assert error is None
    assert result.get_output("y").shape == [1, LARGE]
    assert bytes(into._mpsm_handle.buf[: x.nbytes]) == x.tobytes()


@pytest.mark.parametrize(
    ("input_", "output", "status", "text"),
    [
        (("nowhere", 16, 0), ("out", 16, 0), "NOT_FOUND", "no shared memory region 'nowhere' is registered"),
        (("in", 16, 0), ("nowhere", 16, 0), "NOT_FOUND", "no shared memory region 'nowhere' is registered"),
        (("in", 12, 0), ("out", 16, 0), "INVALID_ARGUMENT", "input 'x' has 12 bytes of data; wanted 16"),
        (("in", 20, 0), ("out", 16, 0), "INVALID_ARGUMENT", "input 'x' has 20 bytes of data; wanted 16"),
        (("in", 16, 60), ("out", 16, 0), "INVALID_ARGUMENT", "16 bytes at offset 60 are outside of shared memory"),
        (("in", 16, 2**62), ("out", 16, 0), "INVALID_ARGUMENT", "are outside of shared memory region 'in'"),
        (("in", 16, 0), ("out", 2**62, 0), "INVALID_ARGUMENT", "are outside of shared memory region 'out'"),
        (("in", 16, 0), ("out", 12, 0), "INVALID_ARGUMENT", "output 'y' has 16 bytes; wanted at most the 12 bytes"),
    ],
)
def test_places_that_do_not_fit(
    shared: Shared, input_: tuple[str, int, int], output: tuple[str, int, int], status: str, text: str
) -> None:
    shared.region("in", 64)
    shared.region("out", 64)
    with pytest.raises(InferenceServerException) as caught:
        shared.client.infer("floats", [placed("x", [1, 4], "FP32", *input_)], outputs=[wanted("y", *output)])
    assert caught.value.status() == f"StatusCode.{status}"
    assert text in caught.value.message()


def test_a_large_output_that_does_not_fit(shared: Shared) -> None:
    x = floats(LARGE)
    shm.set_shared_memory_region(shared.region("in", x.nbytes), [x])
    shared.region("out", x.nbytes - 4)
    inputs = [placed("x", [1, LARGE], "FP32", "in", x.nbytes)]
    with pytest.raises(InferenceServerException, match=f"output 'y' has {x.nbytes} bytes; wanted at most the"):
        shared.client.infer("floats", inputs, outputs=[wanted("y", "out", x.nbytes - 4)])


def test_outputs_that_overlap(shared: Shared) -> None:
    inputs = [placed(name, [1, 16], "INT32", "r", 64) for name in ("INPUT0", "INPUT1")]
    shared.region("r", 256)
    outputs = [wanted("OUTPUT0", "r", 64, 64), wanted("OUTPUT1", "r", 64, 124)]
    with pytest.raises(InferenceServerException, match="outputs 'OUTPUT0' and 'OUTPUT1' overlap"):
        shared.client.infer("simple", inputs, outputs=outputs)


def test_an_object_that_was_shortened(shared: Shared) -> None:
    x = floats(LARGE)
    handle = shared.region("in", x.nbytes)
    inputs = [placed("x", [1, LARGE], "FP32", "in", x.nbytes)]
    (Path(FOLDER) / handle._shm_key.lstrip("/")).write_bytes(b"")
    with pytest.raises(InferenceServerException, match="has 0 bytes now; wanted 1048576"):
        shared.client.infer("floats", inputs)
    assert shared.client.is_server_live()
