"""Models of which WebGPU takes a part: where each node runs, which tensors are really copied, and under which names.

`python -m tests.providers.webgpu` compares our reading with an expectation by hand and with three sources of ONNX
Runtime's own: its placement log, its profile of a run, and the graph that it ran, with the copies in it. All three are
of a session opened without our code. Runs beside the wheel that has WebGPU built in, and beside its plugin.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from tests import models
from tests.providers import mixed
from tests.providers.mixed import CPU, KERNEL, ROOT
from tests.serving import ENTRY

WEBGPU = "WebGpuExecutionProvider"
PLUGIN = "onnxruntime_ep_webgpu"
CHAIN = '[[chain]]\nprovider = "webgpu"\n{options}\n[[chain]]\nprovider = "cpu"\n\n[require]\nprovider = "webgpu"\n'
CONVNET = ROOT / "examples" / "models" / "ppocr_cls" / "1" / "model.onnx"
CONVNET_INPUT = (1, 3, 48, 192)
# Three of its 179 nodes, each between nodes of WebGPU.
CONVNET_ON_CPU = ("HardSigmoid@0", "HardSigmoid@4", "HardSigmoid@8")


@dataclass(frozen=True)
class Case:
    """A model, the nodes that WebGPU is told to leave to the CPU, and what comes of it, by hand."""

    proto: onnx.ModelProto
    on_cpu: frozenset[str]
    crossings: int
    forced: tuple[str, ...] = ()
    shape: tuple[int, ...] = (1, 1, 8, 8)
    made: frozenset[str] = frozenset()
    """Names of nodes that ONNX Runtime makes of several at level 1, before it partitions."""

    @property
    def toml(self) -> str:
        forced = json.dumps("\n".join(self.forced))
        return CHAIN.format(options=f"force_cpu_nodes = {forced}\n" if self.forced else "")


@dataclass(frozen=True)
class Reading:
    """What a source says. Copies: the nodes that carry a tensor from one provider to another."""

    on_cpu: frozenset[str]
    copies: int


def names_like_renamed_ones() -> Case:
    """Conv → Conv → Transpose → [Det] → Sigmoid, called as ONNX Runtime calls the nodes that it changes or puts in."""
    node = helper.make_node
    names = ("conv", "conv_token_1", "Transpose", "det", "Transpose_token_3")
    proto = models.model(
        [
            node("Conv", ["x", "kernel"], ["a"], name=names[0], pads=[1, 1, 1, 1]),
            node("Conv", ["a", "kernel"], ["b"], name=names[1], pads=[1, 1, 1, 1]),
            node("Transpose", ["b"], ["c"], name=names[2], perm=[0, 1, 3, 2]),
            node("Det", ["c"], ["d"], name=names[3]),
            node("Sigmoid", ["d"], ["y"], name=names[4]),
        ],
        [models.value("x", onnx.TensorProto.FLOAT, [1, 1, 8, 8])],
        [models.value("y", onnx.TensorProto.FLOAT, None)],
        [models.tensor("kernel", np.eye(3).reshape(1, 1, 3, 3))],
    )
    return Case(proto, frozenset({"det"}), crossings=2)


def a_convnet() -> Case:
    """PaddleOCR's classifier of text direction, with three nodes forced to the CPU: each is copied to and from."""
    return Case(
        onnx.load(CONVNET),
        frozenset(CONVNET_ON_CPU),
        crossings=2 * len(CONVNET_ON_CPU),
        forced=CONVNET_ON_CPU,
        shape=CONVNET_INPUT,
        made=frozenset({"MatMul@0/MatMulAddFusion"}),
    )


def cases() -> dict[str, Case]:
    """The convnet only where the examples are prepared."""
    shapes = {"a_branch": (2, 4)}
    found = {}
    for name, build in mixed.EXPECTATIONS.items():
        expected = build()
        shape = shapes.get(name, (1, 1, 8, 8))
        found[name] = Case(expected.proto, expected.on_cpu, expected.crossings, shape=shape)
    found["names_like_renamed_ones"] = names_like_renamed_ones()
    return {**found, "a_convnet": a_convnet()} if CONVNET.exists() else found


def plan(path: Path) -> dict[str, object]:
    """What `ortolan plan --json` says of the model in whose folder `path` is."""
    command = [sys.executable, "-c", ENTRY, "plan", str(path.parents[1]), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 3), done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def nodes_by_provider(found: dict[str, object]) -> dict[str, frozenset[str]]:
    shares = found["shares"]
    assert isinstance(shares, list), found
    return {share["provider"]: frozenset(node["name"] for node in share["node_list"]) for share in shares}


def sources(path: Path, case: Case) -> dict[str, Reading]:
    """What ONNX Runtime itself says, in a process that knows nothing of ours but this function's other half."""
    command = [sys.executable, "-m", "tests.providers.webgpu", str(path), json.dumps([case.forced, case.shape])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    copies_in_graph = sum(operator.startswith("Memcpy") for operator in said["graph"])
    kernels = {event["name"].removesuffix(KERNEL): event["args"] for event in said["profile"]}
    copies_run = sum(kernel["op_name"].startswith("Memcpy") for kernel in kernels.values())
    on_cpu = frozenset(name for name, kernel in kernels.items() if kernel["provider"] == CPU)
    placed, copies_placed = _placement(done.stderr)
    return {
        "placement log": Reading(placed, copies_placed),
        "profile": Reading(on_cpu, copies_run),
        "graph that ran": Reading(on_cpu, copies_in_graph),  # it does not tell providers
    }


def _placement(log: str) -> tuple[frozenset[str], int]:
    """The CPU's nodes and the number of copies, from the lines below "Node placements"."""
    on_cpu = set()
    copies = 0
    provider = ""
    for line in log.splitlines():
        text = line.partition("] ")[2].removesuffix("\x1b[m").strip()
        if "Node(s) placed on [" in text:
            provider = text.partition("[")[2].partition("]")[0]
        elif "VerifyEachNodeIsAssignedToAnEp" in line and text.endswith(")"):
            copies += text.startswith("Memcpy")
            if provider == CPU:
                on_cpu.add(text.rpartition("(")[2].rstrip(")"))
    return frozenset(on_cpu), copies


def _answer(path: str, question: str) -> None:
    """The other half: one session, its log on standard error, the rest as JSON on standard output."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime  # noqa: PLC0415 - only in the process that answers

    forced, shape = json.loads(question)
    settings = {"forceCpuNodeNames": "\n".join(forced)} if forced else {}
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 0
    options.enable_profiling = True
    if find_spec(PLUGIN):
        import onnxruntime_ep_webgpu  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - a plugin

        onnxruntime.register_execution_provider_library(WEBGPU, onnxruntime_ep_webgpu.get_library_path())
        devices = [device for device in onnxruntime.get_ep_devices() if device.ep_name == WEBGPU]
        options.add_provider_for_devices(devices, settings)
    else:
        for key, value in settings.items():
            options.add_session_config_entry(f"ep.webgpuexecutionprovider.{key}", value)
        options.add_provider(WEBGPU, {})
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = f"{folder}/profile"
        options.optimized_model_filepath = f"{folder}/ran.onnx"
        session = onnxruntime.InferenceSession(path, options, enable_fallback=0)
        session.run(None, {"x": np.ones(shape, np.float32)})
        events = json.loads(Path(session.end_profiling()).read_text())
        graph = [node.op_type for node in onnx.load(f"{folder}/ran.onnx").graph.node]
    kernels = [event for event in events if event.get("name", "").endswith(KERNEL)]
    print(json.dumps({"profile": kernels, "graph": graph}))


def faults(path: Path, case: Case) -> tuple[list[str], Sequence[int]]:
    """Which sources differ from our reading, and how many nodes are on WebGPU, on the CPU, and cross."""
    found = plan(path)
    nodes = nodes_by_provider(found)
    reading = Reading(nodes["cpu"], int(str(found["crossings"])))
    others = {"by hand": Reading(case.on_cpu, case.crossings), **sources(path, case)}
    differ = [source for source, other in others.items() if other != reading]
    strange = (nodes["webgpu"] | nodes["cpu"]) - {node.name for node in case.proto.graph.node} - case.made
    if strange or nodes["webgpu"] & nodes["cpu"]:
        differ.append(f"the names in the model, where there is no {sorted(strange)}")
    return differ, (len(nodes["webgpu"]), len(nodes["cpu"]), reading.copies)


def main() -> int:
    wrong = on_webgpu = crossing = 0
    found = cases()
    with tempfile.TemporaryDirectory() as folder:
        for name, case in found.items():
            path = models.save(case.proto, Path(folder) / name, toml=case.toml)
            differ, (webgpu, cpu, copies) = faults(path, case)
            wrong += bool(differ)
            on_webgpu += webgpu
            crossing += copies
            verdict = f"differs from {', '.join(differ)}" if differ else "as all sources say"
            print(f"{name}: webgpu {webgpu}, cpu {cpu} nodes, {copies} copies: {verdict}")
    print(
        f"{len(cases()) - wrong} of {len(cases())} models: {on_webgpu} nodes on webgpu, {crossing} crossings = copies"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _answer(*sys.argv[1:])
    else:
        sys.exit(main())
