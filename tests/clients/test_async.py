"""The client for asyncio: the same as the other one."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from ortolan.v1 import provider_reflection_pb2 as reflection
from ortolan_client import (
    AsyncClient,
    AsyncInferStream,
    AsyncModel,
    Cancelled,
    Client,
    DeadlineExceeded,
    HealthStatus,
    InferError,
    InferStream,
    InvalidInput,
    Model,
    NotAllowed,
    NotFound,
    Unavailable,
)
from tests.clients.canned import CannedServer

Item = dict[str, NDArray[np.int32]]
Use = Callable[[AsyncClient], Awaitable[None]]

FOUR = np.ones((1, 4), np.int32)
PAIR = {"INPUT0": FOUR, "INPUT1": FOUR}


def with_client(address: str, use: Use, retries: int = 3) -> None:
    async def run() -> None:
        async with AsyncClient(address, timeout_s=20, retries=retries) as client:
            await use(client)

    asyncio.run(run())


def items(count: int) -> Iterator[Item]:
    for index in range(count):
        yield {"INPUT0": np.full((1, 4), index, np.int32), "INPUT1": FOUR}


@pytest.mark.parametrize(
    ("ours", "theirs"), [(Client, AsyncClient), (Model, AsyncModel), (InferStream, AsyncInferStream)]
)
def test_both_have_the_same_methods(ours: type, theirs: type) -> None:
    def public(kind: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(method).parameters)
            for name, method in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_")
        }

    only_here = {"submit", "map", "map_blocks"}
    assert {name: each for name, each in public(ours).items() if name not in only_here} == public(theirs)
    assert list(inspect.signature(Client).parameters) == list(inspect.signature(AsyncClient).parameters)


def test_infer(canned: CannedServer) -> None:
    async def use(client: AsyncClient) -> None:
        answer = await client.infer("echo", {"a": FOUR, "b": FOUR + 1}, version="3", outputs=["b"], request_id="seven")
        assert {name: array.tolist() for name, array in answer.items()} == {"b": [[2, 2, 2, 2]]}
        bits = np.array([0x3F80], np.uint16)
        for _ in range(2):
            await client.infer("echo", {"x": bits, "count": bits})
            assert [tensor.datatype for tensor in canned.requests[-1].inputs] == ["BF16", "UINT16"]

    with_client(canned.address, use)
    sent = canned.requests[0]
    assert (sent.model_name, sent.model_version, sent.id) == ("echo", "3", "seven")


def test_what_is_asked_for_an_inference_goes_with_its_metadata(canned: CannedServer) -> None:
    async def use() -> None:
        async with AsyncClient(canned.address, timeout_s=20) as client:
            await client.infer("echo", {"x": np.ones(1, np.uint16)}, metadata={"trace": "t1"})

    asyncio.run(use())
    assert [beside.get("trace") for beside in canned.beside] == ["t1", "t1"]


def test_many_at_a_time(canned: CannedServer) -> None:
    async def use(client: AsyncClient) -> None:
        answers = await asyncio.gather(*(client.infer("simple", item) for item in items(50)))
        assert [int(answer["SUM"][0, 0]) for answer in answers] == list(range(1, 51))

    with_client(canned.address, use)


def test_other_calls(canned: CannedServer) -> None:
    canned.assignments.append(reflection.Assignment(model="simple", serving_provider="cuda"))
    canned.summaries.append(reflection.AssignmentSummary(model="simple", node_share=0.5))

    async def use(client: AsyncClient) -> None:
        assert await client.server_live() is True
        assert await client.server_ready() is False
        assert await client.model_ready("simple") is True
        assert (await client.server_metadata()).version == "9.9"
        assert (await client.config("simple")).backend == "onnxruntime"
        assert [each.name for each in await client.statistics("words", "1")] == ["words"]
        assert len(await client.index(ready=True)) == 3
        assert await client.health("simple") is HealthStatus.SERVING
        assert (await client.server()).version == "9.9.0"
        assert [each.name for each in await client.providers(["cuda"], refresh=True)] == ["cuda"]
        assert (await client.assignments())[0].node_share == 0.5
        assert (await client.assignment("simple", omit_nodes=True)).serving_provider == "cuda"
        assert (await client.plan("simple", "2", chain=["cpu"])).version == "2"
        await client.unload("simple")
        with pytest.raises(NotAllowed):
            await client.load("simple")

    with_client(canned.address, use)


def test_watch(canned: CannedServer) -> None:
    canned.summaries.append(reflection.AssignmentSummary(model="simple", state="LOADING"))

    async def use(client: AsyncClient) -> None:
        watched = client.watch()
        assert (await anext(watched)).state == "LOADING"
        canned.changes.put(reflection.AssignmentSummary(model="simple", state="READY"))
        assert (await anext(watched)).state == "READY"
        await watched.aclose()

    with_client(canned.address, use)
    assert canned.stream_ended.get(timeout=30) == "ended"


def test_errors(canned: CannedServer, unused_tcp_address: str) -> None:
    async def use(client: AsyncClient) -> None:
        with pytest.raises(NotFound, match="no model 'gone'") as caught:
            await client.infer("gone", {"x": FOUR})
        assert caught.value.model == "gone"
        with pytest.raises(InvalidInput, match="complex128"):
            await client.infer("echo", {"x": np.array([1j])})
        canned.answering.clear()
        with pytest.raises(DeadlineExceeded):
            await client.infer("echo", {"x": FOUR}, timeout_s=0.2)

    async def nobody(client: AsyncClient) -> None:
        with pytest.raises(Unavailable, match="Connection refused"):
            await client.server_live()
        with pytest.raises(Unavailable):
            await anext(client.watch())
        with pytest.raises(Unavailable):
            await anext(client.stream("echo", [{"x": FOUR}]))

    with_client(canned.address, use)
    with_client(unused_tcp_address, nobody, retries=0)


def test_to_cancel_a_task_cancels_its_call(canned: CannedServer) -> None:
    async def use(client: AsyncClient) -> None:
        task = asyncio.create_task(client.infer("simple", PAIR))
        await asyncio.to_thread(canned.came.wait, 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        canned.answering.set()
        assert (await client.infer("simple", PAIR))["SUM"].tolist() == [[2, 2, 2, 2]]

    canned.answering.clear()
    with_client(canned.address, use)


def test_it_may_be_made_before_the_loop_and_never_used(canned: CannedServer) -> None:
    client = AsyncClient(canned.address, timeout_s=20)

    async def use() -> None:
        async with client:
            assert await client.server_live()

    asyncio.run(use())
    asyncio.run(AsyncClient(canned.address).close())


def test_handles(canned: CannedServer) -> None:
    async def use(client: AsyncClient) -> None:
        simple = await client.model("simple")
        assert (simple.name, simple.batch_axis, list(simple.inputs)) == ("simple", 0, ["INPUT0", "INPUT1"])
        assert (await simple.infer({"INPUT0": FOUR, "INPUT1": [[1, 2, 3, 4]]}))["SUM"].tolist() == [[2, 3, 4, 5]]
        with pytest.raises(InvalidInput, match="got float64"):
            await simple.infer({"INPUT0": FOUR, "INPUT1": FOUR * 1.5})
        assert await simple.ready()
        answers = simple.stream([PAIR, {"INPUT0": FOUR}])
        assert (await anext(answers))["SUM"].tolist() == [[2, 2, 2, 2]]
        with pytest.raises(InvalidInput, match="needs input 'INPUT1'"):
            await anext(answers)

    with_client(canned.address, use)


def test_streams_come_in_order_from_both_kinds_of_iterables(canned: CannedServer) -> None:
    async def later() -> AsyncIterator[Item]:
        for item in items(50):
            await asyncio.sleep(0)
            yield item

    async def use(client: AsyncClient) -> None:
        for inputs in (later(), items(50)):
            sums = [int(answer["SUM"][0, 0]) async for answer in client.stream("simple", inputs)]
            assert sums == list(range(1, 51))

    with_client(canned.address, use)
    assert [request.id for request in canned.requests[:50]] == [str(index) for index in range(50)]


def test_a_failed_item_raises_and_the_stream_goes_on(canned: CannedServer) -> None:
    async def use(client: AsyncClient) -> None:
        answers = client.stream("simple", [PAIR, {"INPUT0": FOUR * 1.5, "INPUT1": FOUR}, PAIR])
        assert (await anext(answers))["SUM"].tolist() == [[2, 2, 2, 2]]
        with pytest.raises(InferError, match="takes INT32") as caught:
            await anext(answers)
        assert caught.value.index == 1
        assert (await anext(answers))["SUM"].tolist() == [[2, 2, 2, 2]]
        assert [answer async for answer in answers] == []

    with_client(canned.address, use)


def test_what_the_iterable_raises_comes_after_the_answers(canned: CannedServer) -> None:
    async def broken() -> AsyncIterator[Item]:
        for item in items(2):
            yield item
        raise OSError("disk gone")

    async def use(client: AsyncClient) -> None:
        answers = client.stream("simple", broken())
        assert [int((await anext(answers))["SUM"][0, 0]) for _ in range(2)] == [1, 2]
        with pytest.raises(OSError, match="disk gone"):
            await anext(answers)
        assert [answer async for answer in answers] == []

    with_client(canned.address, use)


def test_leaving_a_stream_early_cancels(canned: CannedServer) -> None:
    async def use(client: AsyncClient) -> None:
        async with client.stream("simple", items(10_000)) as answers:
            await anext(answers)
        with pytest.raises(Cancelled):
            await anext(answers)

    with_client(canned.address, use)
    assert canned.stream_ended.get(timeout=30) == "ended"


def test_closing_the_client_ends_what_is_under_way(canned: CannedServer) -> None:
    async def run() -> None:
        client = AsyncClient(canned.address, timeout_s=20)
        watched = client.watch()
        changes = asyncio.create_task(anext(watched))
        answers = client.stream("simple", waiting())
        first = await anext(answers)
        assert first["SUM"].tolist() == [[1, 1, 1, 1]]
        tasks = [asyncio.create_task(client.infer("simple", PAIR)), asyncio.create_task(anext(answers)), changes]
        await asyncio.to_thread(canned.came.wait, 20)
        await client.close()
        for task in tasks:
            with pytest.raises(Cancelled):
                await task

    async def waiting() -> AsyncIterator[Item]:
        for item in items(1):
            yield item
        await asyncio.Event().wait()

    canned.answering.clear()
    asyncio.run(run())


@pytest.mark.parametrize("used", [False, True])
def test_a_closed_client_takes_no_calls(canned: CannedServer, *, used: bool) -> None:
    async def use() -> None:
        client = AsyncClient(canned.address, timeout_s=20)
        if used:
            await client.server_live()
        await client.close()
        await client.close()
        with pytest.raises(ValueError, match="the client is closed"):
            await client.server_live()
        with pytest.raises(ValueError, match="the client is closed"):
            client.stream("simple", [])
        with pytest.raises(ValueError, match="the client is closed"):
            await anext(client.watch())

    asyncio.run(use())


def test_a_reading_that_is_cancelled_ends_the_stream(canned: CannedServer) -> None:
    async def never() -> AsyncIterator[Item]:
        await asyncio.Event().wait()
        yield PAIR

    async def use(client: AsyncClient) -> None:
        answers = client.stream("simple", never())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(answers), 0.05)
        with pytest.raises(Cancelled):
            await anext(answers)

    with_client(canned.address, use)
