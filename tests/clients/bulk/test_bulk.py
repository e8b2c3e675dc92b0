"""`Client.map`: rows in, answers out, whatever the server does meanwhile."""

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ortolan.inference import inference_pb2 as v2
from ortolan.inference import model_config_pb2
from ortolan_client import (
    BadAnswer,
    BulkProgress,
    Client,
    DeadlineExceeded,
    InvalidInput,
    MessageTooLarge,
    NotFound,
    NotSupported,
    OrtolanClientError,
    Overloaded,
    ServerError,
    TensorSpec,
    Unavailable,
)
from ortolan_client._bulk.batch_size import BatchSize
from ortolan_client._bulk.bulk import bulk, rows_of_outputs, rows_source
from ortolan_client._bulk.rows import Blocks, Columns, Dicts
from ortolan_client._bulk.run import BulkRun
from ortolan_client._bulk.window import Window
from ortolan_client._signature import Signature
from tests.clients.canned import CannedServer

Tensors = Mapping[str, NDArray[Any]]

ONE = Signature("m", "1", {"x": TensorSpec("x", "INT64", (-1,))}, {"y": TensorSpec("y", "INT64", (-1,))})


class FakeServer:
    """Answers twice of `x`, at once, unless `refuse` raises. Keeps the sizes of the batches that came."""

    def __init__(self, refuse: Callable[[NDArray[Any]], None] = lambda _: None) -> None:
        self.refuse = refuse
        self.sizes: list[int] = []

    def submit(self, _first: int, inputs: Tensors) -> Future[dict[str, NDArray[Any]]]:
        self.sizes.append(len(inputs["x"]))
        future: Future[dict[str, NDArray[Any]]] = Future()
        try:
            self.refuse(inputs["x"])
        except OrtolanClientError as error:
            future.set_exception(error)
        else:
            future.set_result({"y": inputs["x"] * 2})
        return future


def run(server: FakeServer, rows: int, *, calls: int = 4, retry_for_s: float = 60.0) -> BulkRun:
    """In batches of ten."""
    source = Columns({"x": np.arange(rows)}, ONE)
    size = BatchSize(smallest=10, largest=10)
    window = Window(smallest=calls, largest=calls)
    return BulkRun(source, server.submit, window, size, ordered=True, retry_for_s=retry_for_s)


def outcome(bulk: BulkRun, rows: int) -> list[int | str]:
    """What each row got: its answer, or the class of its error. All rows must be there once, in order."""
    got: list[int | str] = []
    for chunk in bulk:
        assert chunk.start == len(got)
        got += chunk.outputs["y"].tolist() if chunk.error is None else [type(chunk.error).__name__] * chunk.rows
    assert len(got) == rows
    return got


def refusing(error: type[OrtolanClientError], *bad: int) -> Callable[[NDArray[Any]], None]:
    def refuse(x: NDArray[Any]) -> None:
        if set(bad) & set(x.tolist()):
            raise error("so it is", code="X")

    return refuse


@pytest.mark.parametrize("kind", [InvalidInput, ServerError])
def test_bad_rows_stand_alone(kind: type[OrtolanClientError]) -> None:
    server = FakeServer(refusing(kind, 3, 4, 29))
    got = outcome(run(server, 35), 35)
    wanted = [2 * row if row not in (3, 4, 29) else kind.__name__ for row in range(35)]
    assert got == wanted


@pytest.mark.parametrize("kind", [Unavailable, Overloaded])
def test_what_the_server_is_to_blame_for_is_tried_again(kind: type[OrtolanClientError]) -> None:
    failing = iter([True, True, False, True])

    def refuse(_: NDArray[Any]) -> None:
        if next(failing, False):
            raise kind("not now", code="X")

    server = FakeServer(refuse)
    assert outcome(run(server, 50), 50) == [2 * row for row in range(50)]
    assert sum(server.sizes) == 80


def test_a_batch_over_the_servers_limit_is_halved_and_so_are_those_after_it() -> None:
    def refuse(x: NDArray[Any]) -> None:
        if len(x) > 3:
            raise MessageTooLarge("larger than max", code="X")

    server = FakeServer(refuse)
    assert outcome(run(server, 100), 100) == [2 * row for row in range(100)]
    assert set(server.sizes[-10:]) <= {1, 2, 3}


def test_a_batch_that_the_server_never_takes_is_halved() -> None:
    """Its bytes may be more than a queue holds."""

    def refuse(x: NDArray[Any]) -> None:
        if len(x) > 5:
            raise Overloaded("the queue has 1 KiB", code="X")

    assert outcome(run(FakeServer(refuse), 40, calls=1), 40) == [2 * row for row in range(40)]


def test_a_deadline_halves_the_batch_too() -> None:
    def refuse(x: NDArray[Any]) -> None:
        if len(x) > 5 or 7 in x:
            raise DeadlineExceeded("too slow", code="X")

    got = outcome(run(FakeServer(refuse), 20), 20)
    assert got == [2 * row if row != 7 else "DeadlineExceeded" for row in range(20)]


def test_no_answer_for_too_long_ends_it() -> None:
    def refuse(x: NDArray[Any]) -> None:
        if x[0] >= 20:
            raise Unavailable("nobody there", code="X")

    chunks = iter(run(FakeServer(refuse), 50, retry_for_s=0.1))
    assert [next(chunks).start, next(chunks).start] == [0, 10]
    with pytest.raises(Unavailable):
        next(chunks)


@pytest.mark.parametrize("kind", [NotFound, BadAnswer])
def test_what_no_batch_can_pass_is_raised(kind: type[OrtolanClientError]) -> None:
    with pytest.raises(kind):
        list(run(FakeServer(refusing(kind, 0)), 50))


def test_answers_without_a_row_for_each_are_refused() -> None:
    class Summing(FakeServer):
        def submit(self, _first: int, inputs: Tensors) -> Future[dict[str, NDArray[Any]]]:
            future: Future[dict[str, NDArray[Any]]] = Future()
            future.set_result({"y": inputs["x"].sum(keepdims=True)})
            return future

    with pytest.raises(BadAnswer, match="no row for each"):
        list(run(Summing(), 50))


class Followed(Future[dict[str, NDArray[Any]]]):
    """Says when it has somebody to tell of its end: one that ended before is told of then, after others."""

    def __init__(self, followed: threading.Semaphore) -> None:
        super().__init__()
        self._followed = followed

    def add_done_callback(self, fn: Callable[[Any], object]) -> None:
        super().add_done_callback(fn)
        self._followed.release()


class SlowServer:
    """Answers nothing until told: in which order, too."""

    def __init__(self) -> None:
        self.calls: list[tuple[Tensors, Future[dict[str, NDArray[Any]]]]] = []
        self._came = threading.Semaphore(0)

    def wait_for(self, calls: int) -> None:
        for _ in range(calls):
            assert self._came.acquire(timeout=30)

    def submit(self, _first: int, inputs: Tensors) -> Future[dict[str, NDArray[Any]]]:
        future = Followed(self._came)
        self.calls.append((inputs, future))
        return future

    def answer(self, index: int) -> None:
        inputs, future = self.calls[index]
        future.set_result({"y": inputs["x"] * 2})


def slow_run(server: SlowServer, *, ordered: bool) -> BulkRun:
    source = Columns({"x": np.arange(1000)}, ONE)
    size, window = BatchSize(smallest=1, largest=1), Window(smallest=3, largest=3)
    return BulkRun(source, server.submit, window, size, ordered=ordered, retry_for_s=60.0)


@pytest.mark.parametrize(("ordered", "starts"), [(True, [0, 1, 2]), (False, [2, 1, 0])])
def test_the_order(ordered: bool, starts: list[int]) -> None:  # noqa: FBT001
    server = SlowServer()
    chunks = iter(slow_run(server, ordered=ordered))
    got: list[int] = []
    thread = threading.Thread(target=lambda: got.extend(next(chunks).start for _ in range(3)))
    thread.start()
    server.wait_for(3)
    for index in (2, 1, 0):
        server.answer(index)
    thread.join(30)
    assert got == starts


def test_leaving_early_cancels_what_is_under_way() -> None:
    server = SlowServer()
    chunks = iter(slow_run(server, ordered=True))
    thread = threading.Thread(target=lambda: next(chunks))
    thread.start()
    server.wait_for(3)
    server.answer(0)
    thread.join(30)
    chunks.close()  # type: ignore[attr-defined]  # a generator
    assert [future.cancelled() for _, future in server.calls[1:3]] == [True, True]


def test_a_row_that_waits_holds_up_a_bounded_number_of_others() -> None:
    taken = 0

    def rows() -> Iterator[Mapping[str, int]]:
        nonlocal taken
        for row in range(100_000):
            taken += 1
            yield {"x": row}

    stuck: list[Future[dict[str, NDArray[Any]]]] = []

    def submit(_first: int, inputs: Tensors) -> Future[dict[str, NDArray[Any]]]:
        future: Future[dict[str, NDArray[Any]]] = Future()
        if not stuck:
            stuck.append(future)
            threading.Timer(0.3, future.set_result, [{"y": np.array([0])}]).start()
            return future
        future.set_result({"y": inputs["x"]})
        return future

    size, window = BatchSize(smallest=1, largest=1), Window(smallest=3, largest=3)
    chunks = iter(BulkRun(Dicts(rows(), ONE), submit, window, size, ordered=True, retry_for_s=60.0))
    assert next(chunks).start == 0
    assert taken <= 12


def test_rows_of_several_shapes_go_into_batches_of_their_own() -> None:
    signature = Signature("m", "", {"x": TensorSpec("x", "FP32", (-1, -1))}, {})
    last = np.array([7, 8], np.float32)
    rows: list[Mapping[str, Any]] = [
        *({"x": [1.0, 2.0]}, {"x": [3, 4]}, {"x": [5.0]}, {"x": "six"}, {"z": 1}, {"x": last}),
    ]
    source = Dicts(rows, signature)
    taken = []
    while (part := source.take(100)) is not None:
        taken.append(part)
    assert [part.rows for part in taken] == [2, 1, 1, 1, 1]
    assert taken[0].inputs["x"].tolist() == [[1, 2], [3, 4]]
    assert taken[0].inputs["x"].dtype == np.float32
    assert [part.error is not None for part in taken] == [False, False, True, True, False]


def test_blocks_are_cut_but_never_joined() -> None:
    source = Blocks(({"x": np.arange(count)} for count in (5, 0, 2)), ONE)
    sizes = []
    while (part := source.take(3)) is not None:
        sizes.append(part.rows)
    assert sizes == [3, 2, 2]


def test_columns_must_have_as_many_rows() -> None:
    with pytest.raises(InvalidInput, match=r"not x \[3\], z \[4, 2\]"):
        Columns({"x": np.arange(3), "z": np.ones((4, 2))}, ONE)
    with pytest.raises(InvalidInput, match="no columns"):
        Columns({}, ONE)


def test_map_over_columns(client: Client) -> None:
    left = np.arange(4000, dtype=np.int32).reshape(1000, 4)
    seen: list[BulkProgress] = []
    mapped = client.map("simple", {"INPUT0": left, "INPUT1": left}, progress=seen.append)
    np.testing.assert_array_equal(mapped.arrays()["SUM"], left * 2)
    assert (seen[-1].rows, seen[-1].failed, seen[-1].total) == (1000, 0, 1000)
    assert [row["SUM"].tolist() for row in mapped][:2] == [[0, 2, 4, 6], [8, 10, 12, 14]]


def test_map_over_dicts_with_a_bad_one(client: Client) -> None:
    good = {"INPUT0": [1, 2, 3, 4], "INPUT1": np.ones(4, np.int32)}
    rows: list[Mapping[str, Any]] = [good, {**good, "INPUT0": [1.5, 2, 3, 4]}, good, {"INPUT0": [1, 2, 3, 4]}]
    got = list(client.map("simple", rows))
    assert [row.index for row in got] == [0, 1, 2, 3]
    assert [row.error is None for row in got] == [True, False, True, False]
    assert got[2]["SUM"].tolist() == [2, 3, 4, 5]
    with pytest.raises(InvalidInput, match="takes INT32"):
        got[1]["SUM"]
    assert got[1].outputs == {}


def test_a_handle_maps_too(client: Client) -> None:
    model = client.model("simple")
    rows = ({"INPUT0": [row] * 4, "INPUT1": [0] * 4} for row in range(20))
    assert sorted(row["SUM"][0] for row in model.map(rows, ordered=False)) == list(range(20))


def test_the_model_is_asked_for_before_anything_is_sent(client: Client, canned: CannedServer) -> None:
    with pytest.raises(NotFound):
        client.map("nobody", [])
    with pytest.raises(ValueError, match="batch_size"):
        client.map("simple", [], batch_size=0)
    assert client.map("simple", []).arrays() == {}


def test_answers_go_where_they_are_wanted() -> None:
    """Each batch gets the rows of the array that are its own."""
    y = np.zeros((25, 2))
    inputs = {"x": np.zeros(10)}
    wanted = rows_of_outputs({"y": y, "z": None}, 10, inputs)
    assert isinstance(wanted, Mapping)
    assert wanted["z"] is None
    part = wanted["y"]
    assert part is not None
    assert (part.base is y, part.shape, part.ctypes.data - y.ctypes.data) == (True, (10, 2), 10 * 16)
    assert rows_of_outputs(["y"], 10, inputs) == ["y"]


def test_there_must_be_room_for_all_rows(client: Client) -> None:
    x = np.zeros((8, 4), np.int32)
    mapped = client.map("simple", {"INPUT0": x, "INPUT1": x}, outputs={"SUM": np.zeros((7, 4), np.int32)})
    with pytest.raises(ValueError, match="room for 7 rows, and there are 8"):
        mapped.arrays()


class Triton:
    """A server that is not ours, and takes no batch over its `max_batch_size`."""

    def __init__(self, shape: list[int], max_batch_size: int) -> None:
        self.model = v2.ModelMetadataResponse(name="m", versions=["1"])
        self.model.inputs.add(name="x", datatype="INT64", shape=shape)
        self.max_batch_size = max_batch_size
        self.sizes: list[int] = []

    def metadata(self, model: str, version: str = "", **options: Any) -> v2.ModelMetadataResponse:
        return self.model

    def config(self, model: str, version: str = "", **options: Any) -> model_config_pb2.ModelConfig:
        if self.max_batch_size < 0:
            raise NotSupported("no such call", code="UNIMPLEMENTED")
        return model_config_pb2.ModelConfig(name=model, max_batch_size=self.max_batch_size)

    def submit(self, model: str, inputs: Tensors, **options: Any) -> Future[dict[str, NDArray[Any]]]:
        self.sizes.append(len(inputs["x"]))
        future: Future[dict[str, NDArray[Any]]] = Future()
        future.set_result({"y": inputs["x"]})
        return future


@pytest.mark.parametrize(
    ("shape", "max_batch_size", "largest"),
    [([-1], 6, 6), ([-1], 0, 2048), ([-1], -1, 2048), ([1], 0, 1)],
    ids=["its own limit", "no limit", "no config", "one row at a time"],
)
def test_the_limit_of_another_server_holds(shape: list[int], max_batch_size: int, largest: int) -> None:
    server = Triton(shape, max_batch_size)
    x = np.arange(3000)
    answer = bulk(server, "m", "", rows_source({"x": x}), {}).arrays()
    np.testing.assert_array_equal(answer["y"], x)
    assert max(server.sizes) == largest


@pytest.mark.parametrize("shape", [[], [4, 2]])
def test_a_model_that_takes_no_rows_is_refused(shape: list[int]) -> None:
    with pytest.raises(InvalidInput, match="no first dimension that counts rows"):
        bulk(Triton(shape, 0), "m", "", rows_source([]), {})
