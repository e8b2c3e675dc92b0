"""What serving costs: one model asked in process and over gRPC, on this machine, with the same threads.

    python -m benchmarks.infer [MODEL …] [--callers N] [--seconds S] [--json]

The server is a process of its own (`ortolan serve`) on the loopback interface, the caller is our Python client with the
sample inputs of `examples/inputs`. Both sides are measured in turns, so that a noisy minute hits both. `added` is what
the wire adds to the median, in milliseconds; `ratio` is the share of the in-process speed that is left over the wire,
where client, kernel and server share the cores.
"""

import argparse
import json
import os
import platform
import threading
import time
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ortolan_backends.runtime.ort import onnxruntime
from ortolan_client import Client
from tests.serving import running_server

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
MODELS = ("simple", "digits", "magika", "silero_vad", "ppocr_cls", "ppocr_rec")
ROUNDS = 5
WARM_UP_CALLS = 20

Feeds = Mapping[str, NDArray[np.generic]]
Call = Callable[[], object]


@dataclass(frozen=True)
class Speed:
    """Of one side, over all rounds and callers."""

    p50_ms: float
    p99_ms: float
    per_second: float


@dataclass(frozen=True)
class Row:
    model: str
    in_process: Speed
    served: Speed

    @property
    def added_ms(self) -> float:
        return self.served.p50_ms - self.in_process.p50_ms

    @property
    def ratio(self) -> float:
        return self.served.per_second / self.in_process.per_second


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--callers", type=int, default=1, help="how many ask at once")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each side of a model is measured")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with running_server(EXAMPLES / "models") as server, Client(server.address) as client:
        rows = [compare(model, client, options.callers, options.seconds) for model in options.models]
    if options.json:
        print(json.dumps({**machine(), "callers": options.callers, "rows": [as_json(row) for row in rows]}, indent=2))
    else:
        print_table(rows, options.callers)


def compare(model: str, client: Client, callers: int, seconds: float) -> Row:
    """Measures both sides of a model in turns, after a check that they answer the same."""
    feeds = sample(model)
    session = open_session(model)
    in_process = session.run(None, feeds)
    served = client.infer(model, feeds)
    for output, array in zip(session.get_outputs(), in_process, strict=True):
        np.testing.assert_allclose(served[output.name], array, rtol=1e-3, atol=1e-5)
    calls: tuple[Call, Call] = (lambda: session.run(None, feeds), lambda: client.infer(model, feeds))
    seen: tuple[list[float], list[float]] = ([], [])
    for call in calls:
        for _ in range(WARM_UP_CALLS):
            call()
    for _ in range(ROUNDS):
        for side, call in enumerate(calls):
            seen[side].extend(measure(call, callers, seconds / ROUNDS))
    return Row(model, speed(seen[0], callers), speed(seen[1], callers))


def measure(call: Call, callers: int, seconds: float) -> list[float]:
    """Latencies in seconds of all the calls that `callers` threads make in that time."""
    latencies_s: list[list[float]] = [[] for _ in range(callers)]
    until_s = time.perf_counter() + seconds

    def keep_calling(mine: list[float]) -> None:
        started_s = time.perf_counter()
        while started_s < until_s:
            call()
            ended_s = time.perf_counter()
            mine.append(ended_s - started_s)
            started_s = ended_s

    threads = [threading.Thread(target=keep_calling, args=(mine,)) for mine in latencies_s]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [latency_s for mine in latencies_s for latency_s in mine]


def speed(latencies_s: list[float], callers: int) -> Speed:
    p50_s, p99_s = np.percentile(latencies_s, [50, 99])
    return Speed(float(p50_s * 1e3), float(p99_s * 1e3), callers / float(np.mean(latencies_s)))


def open_session(model: str) -> onnxruntime.InferenceSession:
    """As the server opens it: the threads of `model.toml`, which wait without spinning."""
    rung = tomllib.loads((EXAMPLES / "models" / model / "model.toml").read_text())["chain"][0]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = rung["threads"]
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    path = EXAMPLES / "models" / model / "1" / "model.onnx"
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def sample(model: str) -> Feeds:
    return {path.stem: np.load(path) for path in (EXAMPLES / "inputs" / model).glob("*.npy")}


def machine() -> dict[str, str]:
    packages = {name: metadata.version(name) for name in ("ortolan", "onnxruntime", "grpcio")}
    return {"machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}", **packages}


def as_json(row: Row) -> dict[str, object]:
    return {**asdict(row), "added_ms": row.added_ms, "ratio": row.ratio}


def print_table(rows: list[Row], callers: int) -> None:
    print(", ".join(f"{name} {value}" for name, value in machine().items()) + f"; {callers} at once")
    print(f"{'':12}{'in process':^30}{'served':^30}")
    print(f"{'model':12}" + f"{'p50 ms':>9}{'p99 ms':>9}{'per s':>10}  " * 2 + f"{'added':>7}{'ratio':>7}")
    for row in rows:
        sides = "".join(
            f"{side.p50_ms:9.3f}{side.p99_ms:9.3f}{side.per_second:10.0f}  " for side in (row.in_process, row.served)
        )
        print(f"{row.model:12}{sides}{row.added_ms:7.2f}{row.ratio:7.2f}")


if __name__ == "__main__":
    main()
