"""The client of the base install against a live server: `python call_server.py ADDRESS`.

Run by tests/acceptance/16_base_install.py with the interpreter of an environment that has nothing else. The server
serves the model `simple` and shares memory.
"""

import asyncio
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ortolan_client
from ortolan_client import AsyncClient, Client, HealthStatus

ONES, TWOS = np.full((1, 16), 1, np.int32), np.full((1, 16), 2, np.int32)
INPUTS = {"INPUT0": TWOS, "INPUT1": ONES}


def main() -> None:
    assert "site-packages" in str(ortolan_client.__file__), ortolan_client.__file__
    address = sys.argv[1]
    with Client(address, compression="gzip", metadata={"tenant": "a"}) as client:
        check(client.infer("simple", INPUTS))
        check(client.submit("simple", INPUTS).result())
        check(client.model("simple").infer({"INPUT0": TWOS, "INPUT1": ONES.tolist()}))
        for answer in client.stream("simple", [INPUTS] * 3):
            check(answer)
        with client.shared_memory(2**12) as memory:
            check(client.infer("simple", {"INPUT0": memory.array(TWOS), "INPUT1": memory.array(ONES)}))
        assert client.health() is HealthStatus.SERVING
        assert client.assignment("simple").serving_provider == "cpu"
        assert next(client.watch()).model == "simple"
    asyncio.run(call_in_a_loop(address))
    print("infer, submit, model, stream, shared_memory, health, assignment, watch, AsyncClient")


async def call_in_a_loop(address: str) -> None:
    async with AsyncClient(address) as client:
        check(await client.infer("simple", INPUTS))


def check(answer: dict[str, NDArray[Any]]) -> None:
    np.testing.assert_array_equal(answer["OUTPUT0"], TWOS + ONES)
    np.testing.assert_array_equal(answer["OUTPUT1"], TWOS - ONES)


if __name__ == "__main__":
    main()
