"""The load generators: ours (`cpp/load.cpp`), and h2load as a second opinion. How they are called, what they say."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environments import built, tool
from benchmarks.processes import pinned
from benchmarks.timing import FEWEST_ANSWERS

__all__ = [
    "STREAM",
    "UNARY",
    "Body",
    "FlowPlan",
    "FlowReport",
    "H2load",
    "LoadFailed",
    "LoadGenerators",
    "LoadReport",
    "SharedPlan",
    "parse_h2load",
    "parse_report",
]

UNARY = "/inference.GRPCInferenceService/ModelInfer"
STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"
_GRACE_S = 90.0


class LoadFailed(Exception):
    """The load generator itself did not do its work."""


@dataclass(frozen=True)
class Body:
    """A serialized request, and how long each answer to it must be."""

    path: Path
    answer_bytes: int


@dataclass(frozen=True)
class FlowPlan:
    """Calls of one kind. Closed loop unless there is a rate: then `in_flight` does not count."""

    name: str
    bodies: Sequence[Body]
    connections: int = 1
    in_flight: int = 1
    stream: bool = False
    rate_per_s: float = 0.0

    def words(self) -> list[str]:
        words = ["--flow", self.name, "--path", STREAM if self.stream else UNARY]
        words += ["--connections", str(self.connections), "--in-flight", str(self.in_flight)]
        words += ["--rate", f"{self.rate_per_s:.3f}"] if self.rate_per_s else []
        words += ["--stream"] if self.stream else []
        for body in self.bodies:
            words += ["--body", str(body.path), str(body.answer_bytes)]
        return words


@dataclass(frozen=True)
class SharedPlan:
    """Calls whose tensors are in shared memory. `inputs` and `right` are .npz files, of arrays by name."""

    model: str
    inputs: Path
    right: Path
    in_flight: int


@dataclass(frozen=True)
class FlowReport:
    """`finished` are all calls, `measured` those of the window, which all the other figures are about."""

    name: str
    finished: int
    measured: int
    per_second: float
    p50_us: float
    p90_us: float
    p99_us: float
    failures: Mapping[str, int]

    def why_void(self) -> str | None:
        """Why this counts for nothing; None if it counts."""
        if self.failures:
            return "; ".join(f"{count} × {why}" for why, count in self.failures.items())
        if self.measured < FEWEST_ANSWERS:
            return f"{self.measured} answers while it was measured: too slow to be measured"
        return None


@dataclass(frozen=True)
class LoadReport:
    cpu_s: float
    """Of the load generator, or of the process itself where there is none; as `wall_s` from start to end."""
    wall_s: float
    flows: Sequence[FlowReport]

    def why_void(self) -> str | None:
        return next((why for flow in self.flows if (why := flow.why_void())), None)


def parse_report(text: str) -> LoadReport:
    report = json.loads(text)
    fields = FlowReport.__dataclass_fields__
    flows = [FlowReport(**{name: flow[name] for name in fields}) for flow in report["flows"]]
    return LoadReport(report["cpu_s"], report["wall_s"], flows)


@dataclass(frozen=True)
class H2load:
    per_second: float
    succeeded: int
    data_bytes: int
    """Of all answers: gRPC's five bytes and the message each. A gRPC error has none, yet h2load calls it a success."""

    def why_void(self, requests: int, answer_bytes: int) -> str | None:
        if self.succeeded != requests:
            return f"{requests - self.succeeded} of {requests} calls without HTTP status 200"
        expected = requests * (5 + answer_bytes)
        if self.data_bytes != expected:
            return f"answers of {self.data_bytes} bytes in all instead of {expected}: some calls failed"
        return None


def parse_h2load(text: str) -> H2load:
    """Raises LoadFailed for what h2load did not print."""
    rate = re.search(r"^finished in .*?, ([\d.]+) req/s", text, re.MULTILINE)
    good = re.search(r"^status codes: (\d+) 2xx", text, re.MULTILINE)
    data = re.search(r"^traffic: .*\((\d+)\) data", text, re.MULTILINE)
    if not (rate and good and data):
        raise LoadFailed(f"h2load says: {text.strip() or 'nothing'}")
    return H2load(float(rate[1]), int(good[1]), int(data[1]))


class LoadGenerators:
    """Run on `cores` alone. `prepare` builds ours first."""

    def __init__(self, cores: Sequence[int]) -> None:
        self.cores = cores
        self._load = ""

    def prepare(self) -> None:
        """Raises NotHere."""
        self._load = str(built("load"))

    def load(self, port: int, flows: Sequence[FlowPlan], warm_up_s: float, seconds: float) -> LoadReport:
        """Raises LoadFailed."""
        command = [self._load, str(port), "--seconds", str(seconds), "--warm-up", str(warm_up_s)]
        for flow in flows:
            command += flow.words()
        return parse_report(self._output(command, warm_up_s + seconds + _GRACE_S))

    def shared(self, port: int, plan: SharedPlan, warm_up_s: float, seconds: float) -> LoadReport:
        """Tensors in shared memory, from Python. Raises LoadFailed."""
        command = [sys.executable, "-m", "benchmarks.shared_load", str(port)]
        command += [plan.model, str(plan.inputs), str(plan.right), "--in-flight", str(plan.in_flight)]
        command += ["--warm-up", str(warm_up_s), "--seconds", str(seconds)]
        return parse_report(self._output(command, warm_up_s + seconds + _GRACE_S))

    def h2load(self, port: int, flow: FlowPlan, requests: int) -> H2load:
        """So many requests from one thread. Raises NotHere, LoadFailed."""
        path = flow.bodies[0].path
        framed, message = path.with_suffix(".h2load"), path.read_bytes()
        framed.write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
        command = [
            tool("h2load"),
            "-n",
            str(requests),
            "-c",
            str(flow.connections),
            "-m",
            str(flow.in_flight),
            "-t",
            "1",
        ]
        command += ["-d", str(framed), "-H", "content-type: application/grpc", "-H", "te: trailers"]
        return parse_h2load(self._output([*command, f"http://127.0.0.1:{port}{UNARY}"], _GRACE_S))

    def _output(self, command: Sequence[str], limit_s: float) -> str:
        name = Path(command[0]).name
        try:
            done = subprocess.run(
                pinned(command, self.cores), check=False, capture_output=True, text=True, timeout=limit_s
            )
        except subprocess.TimeoutExpired as error:
            raise LoadFailed(f"{name} did not end within {limit_s:.0f} s") from error
        if done.returncode:
            raise LoadFailed(done.stderr.strip() or f"{name} ended with status {done.returncode}")
        return done.stdout
