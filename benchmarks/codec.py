"""What reading a request and writing a response cost, in microseconds, beside protobuf's own objects.

    python -m benchmarks.codec [--rounds N] [--json]

One FP32 tensor in, the same out. All ways are measured in turns, round after round; figures are medians of the rounds.

- parsed: the whole message by protobuf, and numpy arrays on its fields.
- cut: the tensor cut out of the bytes, the rest by protobuf. Aligned, the array is a view of the message; misaligned,
  it is a copy.
- to call, to answer: what the server does for one request, from its bytes to the engine's call with the model found,
  names and shapes checked, and from the engine's result to the answer's bytes with the statistics counted.
- object: a ModelInferResponse, filled and serialised. joined: the response as the server writes it.
"""

import argparse
import json
import math
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ortolan.inference.inference_pb2 import ModelInferRequest, ModelInferResponse
from ortolan_server.codec import read_request, requests, write_response
from ortolan_server.engine.call import InferenceCall, InferenceResult, Pump, Reply
from ortolan_server.engine.statistics import Statistics
from ortolan_server.services.inference import InferenceService
from ortolan_server.tensors import Signature, TensorSpec, decode_inputs

SIZES = {
    "48 B": 48,
    "4 KB": 2**12,
    "32 KB": 2**15,
    "64 KB": 2**16,
    "128 KB": 2**17,
    "256 KB": 2**18,
    "1 MB": 2**20,
    "16 MB": 2**24,
}
ROUND_S = 0.02

Way = Callable[[], object]


class Target:
    """A served version that keeps what it is given."""

    model = "m"
    version = "1"
    signature = Signature((TensorSpec("x", "FP32", ("N", None)),), (TensorSpec("y", "FP32", ("N", None)),))
    statistics = Statistics()
    runs_on_pump = True
    reply: Reply

    def submit(self, call: InferenceCall, reply: Reply, pump: Pump | None = None) -> "Target":  # noqa: ARG002
        self.reply = reply
        return self

    def cancel(self) -> None:
        pass


class Lookup:
    def __init__(self, target: Target) -> None:
        self._targets = {target.model: target}

    def find(self, model: str, version: str) -> Target:  # noqa: ARG002
        return self._targets[model]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    table = {name: in_turns(ways(size), options.rounds) for name, size in SIZES.items()}
    if options.json:
        print(json.dumps({**machine(), "rounds": options.rounds, "us": table}, indent=2))
        return
    print(", ".join(f"{key} {value}" for key, value in machine().items()) + f"; µs, medians of {options.rounds} rounds")
    print(f"{'':8}{'request':^60}{'response':^36}")
    print(f"{'':8}" + "".join(f"{name:>{width(name)}}" for name in next(iter(table.values()))))
    for size, row in table.items():
        print(f"{size:8}" + "".join(f"{value_us:{width(name)}.1f}" for name, value_us in row.items()))


def width(name: str) -> int:
    return max(12, len(name) + 2)


def ways(size: int) -> Mapping[str, Way]:
    array = np.ones((1, size // 4), np.float32)
    aligned, misaligned = request(array, 0), request(array, 1)
    target = Target()
    service = InferenceService(Lookup(target), math.inf)
    result = InferenceResult((array,), 1)

    def to_call() -> None:
        service.infer(read_request(misaligned), math.inf, lambda _outcome, _statistics=None: None)

    to_call()
    headers = target.signature.all_outputs.headers
    return {
        "parsed": lambda: read(misaligned, 2**31),
        "cut": lambda: read(aligned, 0),
        "misaligned": lambda: read(misaligned, 0),
        "to call": to_call,
        "object": lambda: response_object(array),
        "joined": lambda: write_response("m", "1", "", headers, (array,)),
        "to answer": lambda: target.reply(result),
    }


def request(array: NDArray[np.float32], past: int) -> bytes:
    """A request whose tensor lies so many bytes past a place where it is aligned, as memory of bytes objects does."""
    for padding in range(8):
        message = ModelInferRequest(model_name="m", raw_input_contents=[array.tobytes()])
        message.inputs.add(name="x", datatype="FP32", shape=array.shape)
        message.id = "." * padding
        data = message.SerializeToString()
        if (np.frombuffer(data, np.uint8).ctypes.data + len(data) - array.nbytes) % 4 == past:
            return data
    raise AssertionError("eight paddings, and none of them fits")


def read(data: bytes, cut_bytes: int) -> NDArray[Any]:
    """The tensor as an array, with messages cut from another size on."""
    served, requests.CUT_BYTES = requests.CUT_BYTES, cut_bytes
    try:
        message, raw, _ = read_request(data)
    finally:
        requests.CUT_BYTES = served
    (tensor,) = message.inputs
    plan = Target.signature.plan(((tensor.name, tensor.datatype, tuple(tensor.shape)),))
    return decode_inputs(plan, raw)["x"]


def response_object(array: NDArray[np.float32]) -> bytes:
    message = ModelInferResponse(model_name="m", model_version="1", raw_output_contents=[array.tobytes()])
    message.outputs.add(name="y", datatype="FP32", shape=array.shape)
    return message.SerializeToString()


def in_turns(calls: Mapping[str, Way], rounds: int) -> dict[str, float]:
    """Microseconds of one call of each, the median of the rounds."""
    seen: dict[str, list[float]] = {name: [] for name in calls}
    counts = {name: max(1, int(ROUND_S / seconds(call, 1))) for name, call in calls.items()}
    for _ in range(rounds):
        for name, call in calls.items():
            seen[name].append(seconds(call, counts[name]) * 1e6)
    return {name: statistics.median(each) for name, each in seen.items()}


def seconds(call: Way, count: int) -> float:
    started_s = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - started_s) / count


def machine() -> dict[str, str]:
    packages = {name: metadata.version(name) for name in ("protobuf", "numpy")}
    return {"machine": f"{platform.machine()}, Python {platform.python_version()}", **packages}


if __name__ == "__main__":
    main()
