"""Our own client, in the same process as Triton's."""

import asyncio
from collections.abc import Callable

import ml_dtypes
import numpy as np

from ortolan_client import AsyncClient, Client, DeadlineExceeded, InferError, InvalidInput, NotFound
from tests.conformance.expecting import expect, expect_array, expect_in
from tests.conformance.models import ENDLESS, TWICE, twice, twice_model

__all__ = ["CALLS", "CLIENT"]

CLIENT = "ortolan_client"
A = np.arange(16, dtype=np.int32).reshape(1, 16)


def _with_client(use: Callable[[Client], None]) -> Callable[[str], None]:
    def call(address: str) -> None:
        with Client(address, timeout_s=30) as client:
            use(client)

    call.__name__ = use.__name__
    return call


def infer(client: Client) -> None:
    came = client.infer("simple", {"INPUT0": A, "INPUT1": 2 * A})
    expect_array(came["OUTPUT0"], 3 * A)
    expect_array(came["OUTPUT1"], -A)


def infer_every_datatype(client: Client) -> None:
    for datatype, x in TWICE.items():
        came = client.infer(twice_model(datatype), {"x": x})["y"]
        wanted = twice(x)
        if datatype == "BF16":
            came = came.view(ml_dtypes.bfloat16)
        if datatype == "BYTES":
            wanted = np.array([[text.encode() for text in wanted[0]]], object)
        expect_array(came, wanted)


def infer_in_a_loop(client: Client) -> None:
    async def run() -> None:
        async with AsyncClient(client.address, timeout_s=30) as aio:
            came = await aio.infer("simple", {"INPUT0": A, "INPUT1": 2 * A})
            expect_array(came["OUTPUT0"], 3 * A)
            sums = [answer["OUTPUT0"] async for answer in aio.stream("simple", [{"INPUT0": A, "INPUT1": A}] * 3)]
            expect_array(np.concatenate(sums), np.concatenate([2 * A] * 3))

    asyncio.run(run())


def infer_through_a_handle(client: Client) -> None:
    came = client.model("simple").infer({"INPUT0": A, "INPUT1": A.tolist()})
    expect_array(came["OUTPUT0"], 2 * A)


def infer_that_fails(client: Client) -> None:
    try:
        client.infer("simple", {"INPUT0": A})
    except InvalidInput as error:
        expect_in("missing input 'INPUT1'", str(error))
    else:
        raise AssertionError("nothing was raised")


def unknown_model(client: Client) -> None:
    try:
        client.model_ready("nobody")
    except NotFound as error:
        expect_in("no model 'nobody'", str(error))
    else:
        raise AssertionError("nothing was raised")


def deadline(client: Client) -> None:
    try:
        client.infer("count", {"n": np.array(ENDLESS)}, timeout_s=0.3)
    except DeadlineExceeded:
        return
    raise AssertionError("nothing was raised")


def stream_with_an_error_in_the_middle(client: Client) -> None:
    items = [{"INPUT0": A, "INPUT1": A}, {"INPUT0": A}, {"INPUT0": A, "INPUT1": 5 * A}]
    with client.stream("simple", items) as stream:
        expect_array(next(stream)["OUTPUT0"], 2 * A)
        try:
            next(stream)
        except InferError as error:
            expect_in("missing input 'INPUT1'", str(error))
        else:
            raise AssertionError("nothing was raised")
        expect_array(next(stream)["OUTPUT0"], 6 * A)
        expect(list(stream), [])


def health(client: Client) -> None:
    services = ("", "simple", "simple/1", "simple#contract", "broken", "nobody")
    came = [client.health(service).name for service in services[:-1]]
    expect(came, ["SERVING", "SERVING", "SERVING", "SERVING", "NOT_SERVING"])
    try:
        client.health(services[-1])
    except NotFound:
        return
    raise AssertionError("nothing was raised")


def assignment(client: Client) -> None:
    came = client.assignment("simple")
    expect((came.state, came.serving_provider, came.serving_rung), ("READY", "cpu", 1))
    (share,) = came.shares
    expect((share.provider, dict(share.operators)), ("cpu", {"Add": 1, "Sub": 1}))


def plan(client: Client) -> None:
    came = client.plan("add_one", chain=["cpu"])
    expect((came.serving_provider, came.verdict.state), ("cpu", came.verdict.KEPT))


CALLS = tuple(
    map(
        _with_client,
        (
            infer,
            infer_every_datatype,
            infer_in_a_loop,
            infer_through_a_handle,
            infer_that_fails,
            unknown_model,
            deadline,
            stream_with_an_error_in_the_middle,
            health,
            assignment,
            plan,
        ),
    )
)
