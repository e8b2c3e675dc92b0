"""tritonclient.grpc.aio as it is."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from tritonclient.grpc import aio

from tests.conformance.expecting import expect, expect_array, expect_in
from tests.conformance.models import ENDLESS, TWICE, twice
from tests.conformance.triton_calls import A, B, fails, simple_inputs, tensor

__all__ = ["CALLS", "CLIENT"]

CLIENT = "tritonclient.grpc.aio"


def _with_client(use: Callable[[Any], Awaitable[None]]) -> Callable[[str], None]:
    async def run(address: str) -> None:
        async with aio.InferenceServerClient(address) as client:
            await use(client)

    def call(address: str) -> None:
        asyncio.run(run(address))

    call.__name__ = getattr(use, "__name__", "")
    return call


async def health(client: Any) -> None:
    expect(await client.is_server_live(), True)
    expect(await client.is_server_ready(), True)
    expect(await client.is_model_ready("simple"), True)


async def metadata_config_statistics_index(client: Any) -> None:
    expect((await client.get_server_metadata()).name, "ortolan")
    expect((await client.get_model_metadata("simple")).platform, "onnxruntime_onnx")
    expect((await client.get_model_config("simple")).config.max_batch_size, 0)
    expect([it.name for it in (await client.get_inference_statistics("simple")).model_stats], ["simple"])
    expect("simple" in {it.name for it in (await client.get_model_repository_index()).models}, True)


async def infer_many_at_once(client: Any) -> None:
    results = await asyncio.gather(*(client.infer("simple", simple_inputs(A * number)) for number in range(16)))
    for number, result in enumerate(results):
        expect_array(result.as_numpy("OUTPUT0"), A * number + B)


async def infer_bytes(client: Any) -> None:
    result = await client.infer("text", [tensor("x", "BYTES", np.array(["Käse 🧀", ""], object))])
    expect([it.decode() for it in result.as_numpy("y")], ["Käse 🧀", ""])


async def infer_bfloat16(client: Any) -> None:
    result = await client.infer("twice_bf16", [tensor("x", "BF16", TWICE["BF16"])])
    expect_array(result.as_numpy("y"), twice(TWICE["BF16"]))


async def classification(client: Any) -> None:
    wanted = [triton.InferRequestedOutput("OUTPUT1", class_count=1)]
    result = await client.infer("simple", simple_inputs(), outputs=wanted)
    expect_array(result.as_numpy("OUTPUT1"), np.array([b"12:15"], object))


async def infer_that_fails(client: Any) -> None:
    with fails("StatusCode.INVALID_ARGUMENT", "missing input 'INPUT1'"):
        await client.infer("simple", simple_inputs()[:1])


async def client_timeout(client: Any) -> None:
    with fails("StatusCode.DEADLINE_EXCEEDED"):
        await client.infer("count", [tensor("n", "INT64", np.array(ENDLESS))], client_timeout=0.3)


async def unload_and_load(client: Any) -> None:
    await client.unload_model("any_rank")
    expect(await client.is_model_ready("any_rank"), False)
    await client.load_model("any_rank")
    expect(await client.is_model_ready("any_rank"), True)


async def stream_with_an_error_in_the_middle(client: Any) -> None:
    async def requests() -> AsyncIterator[dict[str, Any]]:
        for number, model in enumerate(("simple", "nobody", "simple")):
            yield {"model_name": model, "inputs": simple_inputs(A * number), "request_id": str(number)}

    came = [item async for item in client.stream_infer(requests())]
    expect(len(came), 3)
    expect([error is None for _, error in came], [True, False, True])
    expect_in("no model 'nobody'", came[1][1].message())
    for number in (0, 2):
        expect(came[number][0].get_response().id, str(number))
        expect_array(came[number][0].as_numpy("OUTPUT0"), A * number + B)


CALLS = tuple(
    map(
        _with_client,
        (
            health,
            metadata_config_statistics_index,
            infer_many_at_once,
            infer_bytes,
            infer_bfloat16,
            classification,
            infer_that_fails,
            client_timeout,
            unload_and_load,
            stream_with_an_error_in_the_middle,
        ),
    )
)
