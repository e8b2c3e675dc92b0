"""A load generator that has its tensors in shared memory: over the ordinary channel go their places alone.

    python -m benchmarks.shared_load PORT MODEL INPUTS RIGHT --in-flight N --warm-up S --seconds S

INPUTS is an .npz file with the model's one input, RIGHT one with the answer `y`. Calls share the input's region, each
of the N in flight has a region of its own for the output. Prints one line in the form of the load generator.
"""

import argparse
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from benchmarks.timing import FEWEST_ANSWERS, time_until
from ortolan.inference import inference_pb2 as pb
from ortolan.inference.inference_pb2_grpc import GRPCInferenceServiceStub

Array = NDArray[Any]

_LIMIT_S = 60.0


class Shared:
    """Arrays in regions that the server knows."""

    def __init__(self, stub: GRPCInferenceServiceStub) -> None:
        self._stub = stub
        self._objects: list[SharedMemory] = []

    def array(self, region: str, like: Array) -> Array:
        memory = SharedMemory(create=True, size=like.nbytes)
        self._objects.append(memory)
        register = pb.SystemSharedMemoryRegisterRequest(name=region, key=memory.name, byte_size=like.nbytes)
        self._stub.SystemSharedMemoryRegister(register, timeout=_LIMIT_S)
        return np.ndarray(like.shape, like.dtype, memory.buf)

    def close(self) -> None:
        self._stub.SystemSharedMemoryUnregister(pb.SystemSharedMemoryUnregisterRequest(), timeout=_LIMIT_S)
        for memory in self._objects:
            memory.unlink()  # arrays still refer to it: it goes with this process


class Caller:
    """One call after the other, with an output of its own."""

    def __init__(self, stub: GRPCInferenceServiceStub, model: str, inputs: dict[str, Array], number: int) -> None:
        self._stub = stub
        self._region = f"y-{number}"
        self._request = pb.ModelInferRequest(model_name=model)
        for name, array in inputs.items():
            tensor = self._request.inputs.add(name=name, datatype="FP32", shape=array.shape)
            _place(tensor.parameters, name, array.nbytes)

    def prepare(self, shared: Shared, right: Array) -> None:
        self._output, self._right = shared.array(self._region, right), right
        _place(self._request.outputs.add(name="y").parameters, self._region, right.nbytes)

    def call(self) -> None:
        """Raises RuntimeError for an answer that does not say that the output is where it was wanted."""
        answer = self._stub.ModelInfer(self._request, timeout=_LIMIT_S)
        if answer.outputs[0].parameters["shared_memory_region"].string_param != self._region:
            raise RuntimeError("an output that is not in shared memory")

    def is_right(self) -> bool:
        self._output[...] = np.nan
        self.call()
        return bool(np.array_equal(self._output, self._right))


def main() -> None:
    options = arguments().parse_args()
    inputs, right = dict(np.load(options.inputs)), np.load(options.right)["y"]
    with grpc.insecure_channel(f"127.0.0.1:{options.port}") as channel, sharing(channel) as (stub, shared):
        for name, array in inputs.items():
            shared.array(name, array)[...] = array
        callers = [Caller(stub, options.model, inputs, number) for number in range(options.in_flight)]
        for caller in callers:
            caller.prepare(shared, right)
        print(json.dumps(measure(callers, options.warm_up, options.seconds)), flush=True)


@contextmanager
def sharing(channel: grpc.Channel) -> Iterator[tuple[GRPCInferenceServiceStub, Shared]]:
    stub = GRPCInferenceServiceStub(channel)
    shared = Shared(stub)
    try:
        yield stub, shared
    finally:
        shared.close()


def measure(callers: list[Caller], warm_up_s: float, seconds: float) -> dict[str, object]:
    wrong = sum(not caller.is_right() for caller in callers)
    run_all(callers, warm_up_s)
    cpu_s, started_s = time.process_time(), time.perf_counter()
    latencies_s = run_all(callers, seconds, fewest=FEWEST_ANSWERS)
    span_s, cpu_s = time.perf_counter() - started_s, time.process_time() - cpu_s
    wrong += sum(not caller.is_right() for caller in callers)
    p50, p90, p99 = (float(value) * 1e6 for value in np.percentile(latencies_s, [50, 90, 99]))
    calls = len(latencies_s)
    flow = {
        "name": "shared memory",
        "finished": calls,
        "measured": calls,
        "per_second": calls / span_s,
        "p50_us": p50,
        "p90_us": p90,
        "p99_us": p99,
        "failures": {"wrong answers": wrong} if wrong else {},
    }
    return {"cpu_s": cpu_s, "wall_s": span_s, "flows": [flow]}


def run_all(callers: list[Caller], seconds: float, *, fewest: int = 0) -> list[float]:
    """All of them at once, each at least `fewest` times.

    A call that fails ends its caller, and with it the process: nothing is hidden.
    """
    until_s = time.perf_counter() + seconds
    latencies_s: list[list[float]] = [[] for _ in callers]
    failures: list[Exception] = []

    def run(caller: Caller, latencies_s: list[float]) -> None:
        try:
            latencies_s += time_until(until_s, caller.call, fewest=fewest)
        except Exception as error:  # noqa: BLE001 - raised below
            failures.append(error)

    threads = [threading.Thread(target=run, args=each) for each in zip(callers, latencies_s, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return [latency_s for each in latencies_s for latency_s in each]


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.shared_load")
    parser.add_argument("port", type=int)
    parser.add_argument("model")
    parser.add_argument("inputs")
    parser.add_argument("right")
    parser.add_argument("--in-flight", type=int, default=1)
    parser.add_argument("--warm-up", type=float, default=0.5)
    parser.add_argument("--seconds", type=float, default=1.5)
    return parser


def _place(parameters: Any, region: str, byte_size: int) -> None:  # noqa: ANN401 - a map of messages
    parameters["shared_memory_region"].string_param = region
    parameters["shared_memory_byte_size"].int64_param = byte_size


if __name__ == "__main__":
    main()
