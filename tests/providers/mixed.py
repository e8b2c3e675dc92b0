"""Models of which OpenVINO supports only a part, where each node must run by hand, and what ONNX Runtime itself says.

`python -m tests.providers.mixed` compares our reading of the assignment with the expectation and with two other
sources: ONNX Runtime's placement log and its profile, both of a session opened without our code.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests import models
from tests.serving import ENTRY

ROOT = Path(__file__).resolve().parents[2]
OPENVINO = "OpenVINOExecutionProvider"
CPU = "CPUExecutionProvider"
KERNEL = "_kernel_time"


@dataclass(frozen=True)
class Expectation:
    """Worked out from the graph and from the operators that OpenVINO 1.24.1 lacks, and WebGPU too.

    They are Det, Hardmax, LpPool and Unique.
    OpenVINO leaves a lone node between two of those to the CPU, so at least two stand there.
    """

    proto: onnx.ModelProto
    on_cpu: frozenset[str]
    on_top: frozenset[str]
    fragments: int
    """Runs of its nodes between those on the CPU."""
    crossings: int


@dataclass(frozen=True)
class Reading:
    """Where nodes are, according to one source."""

    on_cpu: frozenset[str]
    fragments: int


def one_in_the_middle() -> Expectation:
    """Conv → Relu → [Det] → Sigmoid: one tensor goes to the CPU, one comes back."""
    return Expectation(
        models.convolution("Det"), frozenset({"det"}), frozenset({"conv", "relu", "sigmoid"}), fragments=2, crossings=2
    )


def two_in_a_row_of_eight() -> Expectation:
    """Conv → Relu → [LpPool] → Sigmoid → Neg → [Hardmax] → Tanh → Abs: three compiled parts, four crossings."""
    node = helper.make_node
    proto = models.model(
        [
            node("Conv", ["x", "kernel"], ["a"], name="conv", pads=[1, 1, 1, 1]),
            node("Relu", ["a"], ["b"], name="relu"),
            node("LpPool", ["b"], ["c"], name="lppool", kernel_shape=[2, 2]),
            node("Sigmoid", ["c"], ["d"], name="sigmoid"),
            node("Neg", ["d"], ["e"], name="neg"),
            node("Hardmax", ["e"], ["f"], name="hardmax"),
            node("Tanh", ["f"], ["g"], name="tanh"),
            node("Abs", ["g"], ["y"], name="abs"),
        ],
        [models.value("x", TensorProto.FLOAT, [1, 1, 8, 8])],
        [models.value("y", TensorProto.FLOAT, None)],
        [models.tensor("kernel", np.ones((1, 1, 3, 3)))],
    )
    return Expectation(
        proto,
        frozenset({"lppool", "hardmax"}),
        frozenset({"conv", "relu", "sigmoid", "neg", "tanh", "abs"}),
        fragments=3,
        crossings=4,
    )


def a_branch() -> Expectation:
    """MatMul → Relu, from there to [Unique] and to [Hardmax] → Neg → Abs, over a dimension that varies.

    Relu's tensor goes over once, although two nodes read it there; Hardmax's comes back.
    """
    node = helper.make_node
    proto = models.model(
        [
            node("MatMul", ["x", "w"], ["a"], name="matmul"),
            node("Relu", ["a"], ["b"], name="relu"),
            node("Unique", ["b"], ["left"], name="unique"),
            node("Hardmax", ["b"], ["h"], name="hardmax"),
            node("Neg", ["h"], ["n"], name="neg"),
            node("Abs", ["n"], ["right"], name="abs"),
        ],
        [models.value("x", TensorProto.FLOAT, ["N", 4])],
        [models.value("left", TensorProto.FLOAT, ["M"]), models.value("right", TensorProto.FLOAT, ["N", 4])],
        [models.tensor("w", np.eye(4))],
    )
    return Expectation(
        proto,
        frozenset({"unique", "hardmax"}),
        frozenset({"matmul", "relu", "neg", "abs"}),
        fragments=2,
        crossings=2,
    )


EXPECTATIONS = {build.__name__: build for build in (one_in_the_middle, two_in_a_row_of_eight, a_branch)}


def ours(path: Path) -> tuple[Reading, frozenset[str], int | None]:
    """What `ortolan plan` reports: CPU nodes and fragments, OpenVINO's nodes, crossings."""
    command = [sys.executable, "-c", ENTRY, "plan", str(path), "--chain", "openvino,cpu", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 3), done.stderr
    plan = json.loads(done.stdout)
    shares = {share["provider"]: share for share in plan["shares"]}
    names = {provider: frozenset(node["name"] for node in share["node_list"]) for provider, share in shares.items()}
    return Reading(names["cpu"], shares["openvino"]["fragments"]), names["openvino"], plan["crossings"]


def by_placement_log(path: Path) -> Reading:
    """From the lines below "Node placements" of ONNX Runtime's log at severity 0."""
    placed = _ask("placement", path)
    counts = Counter[str]()
    on_cpu = set()
    provider = ""
    for line in placed.splitlines():
        text = line.partition("] ")[2].strip()
        if "Node(s) placed on [" in text:
            provider = text.partition("[")[2].partition("]")[0]
        elif "VerifyEachNodeIsAssignedToAnEp" in line and text.endswith(")"):
            counts[provider] += 1
            if provider == CPU:
                on_cpu.add(text.rpartition("(")[2].rstrip(")"))
    return Reading(frozenset(on_cpu), counts[OPENVINO])


def by_profile(path: Path) -> Reading:
    """From the events of one profiled run."""
    events = json.loads(_ask("profile", path))
    kernels = {
        event["name"].removesuffix(KERNEL): event["args"].get("provider", "")
        for event in events
        if event.get("name", "").endswith(KERNEL)
    }
    on_cpu = frozenset(name for name, provider in kernels.items() if provider == CPU)
    return Reading(on_cpu, sum(provider == OPENVINO for provider in kernels.values()))


def _ask(source: str, path: Path) -> str:
    """Runs this file in a process of its own, which knows nothing of ours but this function's other half."""
    command = [sys.executable, "-m", "tests.providers.mixed", source, str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stderr if source == "placement" else done.stdout


def _answer(source: str, path: str) -> None:
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime  # noqa: PLC0415 - only in the process that answers

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 0 if source == "placement" else 3
    options.enable_profiling = source == "profile"
    options.add_provider(OPENVINO, {})
    options.add_provider(CPU, {})
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = f"{folder}/profile"
        session = onnxruntime.InferenceSession(path, options, enable_fallback=0)
        if source == "profile":
            shape = [size if isinstance(size, int) else 2 for size in session.get_inputs()[0].shape]
            session.run(None, {"x": np.ones(shape, np.float32)})
            print(Path(session.end_profiling()).read_text())


def main() -> int:
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, build in EXPECTATIONS.items():
            expected = build()
            path = models.save(expected.proto, Path(folder) / name)
            reading, on_openvino, crossings = ours(path)
            by_hand = Reading(expected.on_cpu, expected.fragments)
            sources = {"by hand": by_hand, "placement log": by_placement_log(path), "profile": by_profile(path)}
            faults = [source for source, other in sources.items() if other != reading]
            if on_openvino != expected.on_top:
                faults.append("OpenVINO's nodes by hand")
            if crossings != expected.crossings:
                faults.append(f"crossings by hand ({expected.crossings}, not {crossings})")
            wrong += bool(faults)
            print(
                f"{name}: cpu {sorted(reading.on_cpu)}, openvino {sorted(on_openvino)} in {reading.fragments} parts, "
                f"{crossings} crossings: {'differs from ' + ', '.join(faults) if faults else 'as all sources say'}"
            )
    print(f"{len(EXPECTATIONS) - wrong} of {len(EXPECTATIONS)} models: assignment = by hand = placement log = profile")
    return 1 if wrong else 0


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _answer(*sys.argv[1:])
    else:
        sys.exit(main())
