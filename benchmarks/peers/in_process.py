"""The limit: ONNX Runtime without a server, called in a loop from one thread.

    python -m benchmarks.peers.in_process MODELS THREADS

Each line on standard input is a job, {"model", "inputs": [FILE, …], "right": [FILE, …], "warm_up_s", "seconds"} with
files of arrays; its answer is one line in the form of the load generator. Answers are held against the right ones
before and after.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from benchmarks.peers.sessions import open_sessions
from benchmarks.timing import FEWEST_ANSWERS, time_until

Array = NDArray[Any]
Feeds = Mapping[str, Array]


def main() -> None:
    sessions = open_sessions(Path(sys.argv[1]), int(sys.argv[2]))
    for line in sys.stdin:
        job = json.loads(line)
        report = measure(sessions[job["model"]], job)
        print(json.dumps(report), flush=True)


def measure(session: onnxruntime.InferenceSession, job: Mapping[str, Any]) -> dict[str, object]:
    inputs = [dict(np.load(file)) for file in job["inputs"]]
    right = [np.load(file)["y"] for file in job["right"]]
    feeds = cycle(inputs)
    wrong = count_wrong(session, inputs, right)

    def run() -> None:
        session.run(None, next(feeds))

    time_until(time.perf_counter() + job["warm_up_s"], run)
    cpu_s, started_s = time.process_time(), time.perf_counter()
    latencies_s = time_until(started_s + job["seconds"], run, fewest=FEWEST_ANSWERS)
    span_s, cpu_s = time.perf_counter() - started_s, time.process_time() - cpu_s
    wrong += count_wrong(session, inputs, right)
    p50, p90, p99 = (float(value) * 1e6 for value in np.percentile(latencies_s, [50, 90, 99]))
    calls = len(latencies_s)
    flow = {
        "name": "in process",
        "started": calls,
        "finished": calls,
        "measured": calls,
        "per_second": calls / span_s,
        "p50_us": p50,
        "p90_us": p90,
        "p99_us": p99,
        "most_us": max(latencies_s) * 1e6,
        "failures": {"wrong answers": wrong} if wrong else {},
    }
    return {"cpu_s": cpu_s, "wall_s": span_s, "flows": [flow]}


def count_wrong(session: onnxruntime.InferenceSession, inputs: Sequence[Feeds], right: Sequence[Array]) -> int:
    pairs = zip(inputs, right, strict=True)
    return sum(not np.allclose(session.run(None, feeds)[0], y, rtol=1e-3, atol=1e-4) for feeds, y in pairs)


if __name__ == "__main__":
    main()
