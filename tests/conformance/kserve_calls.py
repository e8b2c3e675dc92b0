"""KServe's InferenceGRPCClient as it is: `python -m tests.conformance.kserve_calls ADDRESS`.

A line for each call: its name, a tab, and what went wrong, if anything did.
"""

import asyncio
import sys
from typing import Any

import grpc
import numpy as np
from kserve import InferenceGRPCClient, InferInput, InferRequest
from numpy.typing import NDArray

from tests.conformance.expecting import expect, expect_array, expect_in
from tests.conformance.models import TWICE, twice, twice_model

__all__: list[str] = []

A = np.arange(16, dtype=np.int32).reshape(1, 16)
TYPED = ("BOOL", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "FP32", "FP64", "BYTES")
"""What the client sends as typed contents when it is given a list."""


def _typed(name: str, datatype: str, array: NDArray[Any]) -> InferInput:
    return InferInput(name, list(array.shape), datatype, data=array.ravel().tolist())


def _raw(name: str, datatype: str, array: NDArray[Any]) -> InferInput:
    value = InferInput(name, list(array.shape), datatype)
    value.set_data_from_numpy(array)
    return value


def _simple(*inputs: InferInput, model: str = "simple") -> InferRequest:
    return InferRequest(model, list(inputs), request_id="id")


async def server_live(client: Any) -> None:
    expect(await client.is_server_live(), True)


async def server_ready(client: Any) -> None:
    expect(await client.is_server_ready(), True)


async def model_ready(client: Any) -> None:
    expect(await client.is_model_ready("simple"), True)
    expect(await client.is_model_ready("broken"), False)


async def model_ready_of_an_unknown_model(client: Any) -> None:
    await _fails(client.is_model_ready("nobody"), grpc.StatusCode.NOT_FOUND, "no model 'nobody'")


async def infer_typed(client: Any) -> None:
    response = await client.infer(_simple(_typed("INPUT0", "INT32", A), _typed("INPUT1", "INT32", 2 * A)))
    expect_array(response.get_output_by_name("OUTPUT0").as_numpy(), 3 * A)
    expect_array(response.get_output_by_name("OUTPUT1").as_numpy(), -A)
    expect(response.id, "id")


async def infer_raw(client: Any) -> None:
    response = await client.infer(_simple(_raw("INPUT0", "INT32", A), _raw("INPUT1", "INT32", 2 * A)))
    expect_array(response.get_output_by_name("OUTPUT0").as_numpy(), 3 * A)


async def infer_every_typed_datatype(client: Any) -> None:
    for datatype in TYPED:
        x = TWICE[datatype]
        response = await client.infer(_simple(_typed("x", datatype, x), model=twice_model(datatype)))
        came, wanted = response.get_output_by_name("y").as_numpy(), twice(x)
        if datatype == "BYTES":
            wanted = np.array([[text.encode() for text in wanted[0]]], object)
        expect_array(came, wanted)


async def infer_fp16(client: Any) -> None:
    response = await client.infer(_simple(_raw("x", "FP16", TWICE["FP16"]), model="twice_fp16"))
    expect_array(response.get_output_by_name("y").as_numpy(), twice(TWICE["FP16"]))


async def infer_that_fails(client: Any) -> None:
    call = client.infer(_simple(_typed("INPUT0", "INT32", A)))
    await _fails(call, grpc.StatusCode.INVALID_ARGUMENT, "missing input 'INPUT1'")


async def infer_with_an_unknown_model(client: Any) -> None:
    call = client.infer(_simple(_typed("INPUT0", "INT32", A), model="nobody"))
    await _fails(call, grpc.StatusCode.NOT_FOUND, "no model 'nobody'")


async def _fails(call: Any, code: grpc.StatusCode, message: str) -> None:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        expect(error.code(), code)
        expect_in(message, error.details() or "")
    else:
        raise AssertionError(f"nothing was raised; wanted {code}")


CALLS = (
    server_live,
    server_ready,
    model_ready,
    model_ready_of_an_unknown_model,
    infer_typed,
    infer_raw,
    infer_every_typed_datatype,
    infer_fp16,
    infer_that_fails,
    infer_with_an_unknown_model,
)


async def main(address: str) -> None:
    """Makes every call and prints its line."""
    for call in CALLS:
        fault = ""
        async with InferenceGRPCClient(address) as client:
            try:
                await call(client)
            except Exception as error:  # noqa: BLE001 - whatever went wrong is the finding
                fault = f"{type(error).__name__}: {error}".replace("\n", " ")
        sys.stdout.write(f"{call.__name__}\t{fault}\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
