"""What one inference costs from numpy to numpy, in milliseconds, beside protobuf's own objects over the same gRPC.

    python -m benchmarks.client [--rounds N]

One FP32 tensor to a server in another process and the same back, one call at a time. All ways are measured in turns,
round after round; figures are medians of the rounds.

- objects: generated stubs; a ModelInferRequest filled with `tobytes()`, and arrays of the answer's fields.
- client: `ortolan_client.Client`.
- shared memory: the same client, with input and output in a region.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from ortolan.inference import inference_pb2, inference_pb2_grpc
from ortolan_client import Client
from tests import models
from tests.serving import running_server

SIZES = {"64 B": 64, "64 KB": 2**16, "1 MB": 2**20, "16 MB": 2**24}
ROUND_S = 0.1
NO_LIMIT = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]

Way = Callable[[], NDArray[Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=31)
    rounds = parser.parse_args().rounds
    with served() as address:
        for number, (name, size) in enumerate(SIZES.items()):
            with ExitStack() as stack:
                table = in_turns(ways(address, size, stack), rounds)
            if not number:
                print(f"{'ms':8}" + "".join(f"{way:>16}" for way in table))
            print(f"{name:8}" + "".join(f"{value_ms:16.2f}" for value_ms in table.values()), flush=True)


@contextmanager
def served() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        models.save(models.identity(TensorProto.FLOAT, ["N", "M"]), Path(folder) / "identity")
        with running_server(Path(folder), "--shared-memory") as server:
            yield server.address


def ways(address: str, size: int, stack: ExitStack) -> dict[str, Way]:
    x = np.random.default_rng(size).random((1, size // 4), np.float32)
    channel = stack.enter_context(grpc.insecure_channel(address, NO_LIMIT))
    stub = inference_pb2_grpc.GRPCInferenceServiceStub(channel)
    client = stack.enter_context(Client(address))
    memory = stack.enter_context(client.shared_memory(2 * size + 128))
    shared, into = memory.array(x), memory.empty(x.shape)

    def objects() -> NDArray[Any]:
        request = inference_pb2.ModelInferRequest(model_name="identity", raw_input_contents=[x.tobytes()])
        request.inputs.add(name="x", datatype="FP32", shape=x.shape)
        response = stub.ModelInfer(request, timeout=60)
        return np.frombuffer(response.raw_output_contents[0], np.float32).reshape(response.outputs[0].shape)

    all_ways: dict[str, Way] = {
        "objects": objects,
        "client": lambda: client.infer("identity", {"x": x})["y"],
        "shared memory": lambda: client.infer("identity", {"x": shared}, outputs={"y": into})["y"],
    }
    for way in all_ways.values():
        np.testing.assert_array_equal(way(), x)
    return all_ways


def in_turns(ways: dict[str, Way], rounds: int) -> dict[str, float]:
    """Milliseconds of one call of each, the median of the rounds."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            calls, began_s = 0, time.perf_counter()
            while (took_s := time.perf_counter() - began_s) < ROUND_S:
                way()
                calls += 1
            found[name].append(took_s / calls * 1e3)
    return {name: statistics.median(each) for name, each in found.items()}


if __name__ == "__main__":
    main()
