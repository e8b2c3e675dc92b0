"""Triton's client and its shared memory helpers, end to end: what is written is read, byte for byte, and how fast."""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from onnx import TensorProto
from tritonclient.utils import shared_memory as shm

from ortolan_backends.runtime.ort import onnxruntime
from tests import models
from tests.serving import running_server

SIZES = (4, 4096, 2**20, 2**24)
OFFSETS = (0, 4, 4096)
CALLS = 60
ROUNDS = 5


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = models.save(models.identity(TensorProto.FLOAT, ["N", "M"]), Path(folder) / "identity")
        with (
            running_server(Path(folder), "--shared-memory") as server,
            triton.InferenceServerClient(server.address) as client,
        ):
            faults = [fault for size in SIZES for offset in OFFSETS if (fault := check(client, size, offset))]
            ratio = compare(client, path)
    for fault in faults:
        print(f"FAULT {fault}")
    checks = len(SIZES) * len(OFFSETS)
    seen = f"shared memory: {checks - len(faults)} of {checks} checks"
    print(f"{seen}; 16 MB one at a time at {ratio:.2f} of in-process's rate")
    return 1 if faults else 0


def check(client: Any, size: int, offset: int) -> str:
    """What is wrong with values of so many bytes at that offset; empty: nothing."""
    x = np.random.default_rng(size).random((1, size // 4), np.float32)
    with Regions(client, size + offset) as (source, target):
        shm.set_shared_memory_region(source, [x], offset)
        result = ask(client, x, offset)
        came = bytes(shm.get_contents_as_numpy(target, np.uint8, [size], offset))
        output = result.get_output("y")
    print(f"{size:9} bytes at {offset:4}: {list(output.shape)}", flush=True)
    if came != x.tobytes():
        return f"{size} bytes at {offset}: other bytes came"
    if output.parameters["shared_memory_region"].string_param != "target":
        return f"{size} bytes at {offset}: the answer does not name the region"
    return ""


def compare(client: Any, path: Path) -> float:
    """The client's rate over that of ONNX Runtime in this process; medians of rounds in turns."""
    x = np.ones((1, 2**22), np.float32)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    ratios = []
    with Regions(client, x.nbytes) as (source, _):
        shm.set_shared_memory_region(source, [x])
        for _ in range(ROUNDS):
            alone_s = seconds(lambda: session.run(None, {"x": x}))
            ratios.append(alone_s / seconds(lambda: ask(client, x, 0)))
    return median(ratios)


def seconds(call: Callable[[], object]) -> float:
    started_s = time.perf_counter()
    for _ in range(CALLS):
        call()
    return time.perf_counter() - started_s


def ask(client: Any, x: Any, offset: int) -> Any:
    tensor = triton.InferInput("x", list(x.shape), "FP32")
    tensor.set_shared_memory("source", x.nbytes, offset)
    output = triton.InferRequestedOutput("y")
    output.set_shared_memory("target", x.nbytes, offset)
    return client.infer("identity", [tensor], outputs=[output])


class Regions:
    """Two regions, source and target, that the server knows meanwhile."""

    def __init__(self, client: Any, size: int) -> None:
        self._client = client
        self._size = size
        self._handles: list[Any] = []

    def __enter__(self) -> Sequence[Any]:
        for name in ("source", "target"):
            key = f"/ortolan-acceptance-{os.getpid()}-{name}"
            self._handles.append(shm.create_shared_memory_region(name, key, self._size))
            self._client.register_system_shared_memory(name, key, self._size)
        return self._handles

    def __exit__(self, *_: object) -> None:
        self._client.unregister_system_shared_memory()
        for handle in self._handles:
            shm.destroy_shared_memory_region(handle)


if __name__ == "__main__":
    sys.exit(main())
