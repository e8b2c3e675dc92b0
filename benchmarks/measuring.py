"""One round of one case on one server: checked before, measured, checked after."""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.calls import Answers, check_server
from benchmarks.cases import MANY_MODELS, PEAK, Case, Flow
from benchmarks.fleet import Fleet, InProcess, Running, started
from benchmarks.load import Body, FlowPlan, LoadGenerators, LoadReport, SharedPlan
from benchmarks.models import write_copies
from benchmarks.results import Results, Round
from benchmarks.samples import SAMPLES, Sample
from benchmarks.servers import ECHO, IN_PROCESS, OURS, PUBLIC, SERVERS, Program
from benchmarks.stages import StageSums

__all__ = ["Bench", "Void"]

_MIB = 2**20
_IDLE_SETTLE_S = 2.0


class Void(Exception):
    """What was measured does not count; the text says why."""


@dataclass
class Bench:
    """All that measuring needs. `seconds` is the length of a window, `idle_s` of the idle case's."""

    folder: Path
    server_cores: Sequence[int]
    seconds: float
    warm_up_s: float
    idle_s: float
    loads: LoadGenerators
    programs: Mapping[str, Program]
    fleet: Fleet
    in_process: InProcess | None
    right: Answers
    results: Results

    def measure(self, case: Case, server: str) -> Round:
        """Raises Void, and Ended, TimeoutError, WrongAnswer, LoadFailed, NotHere, which void it too."""
        if case.kind == "many":
            return self._many(case, server)
        if server == IN_PROCESS:
            return self._without_server(case)
        with self.fleet.alone(server) as running:
            if case.kind == "shared-memory":
                return self._shared(case, running)
            return self._h2load(case, running) if case.kind == "h2load" else self._load(case, running)

    def _load(self, case: Case, running: Running) -> Round:
        plans = [self._plan(flow, running) for flow in case.flows]
        model = SAMPLES[case.flows[0].samples][0].model
        ours = running.server.name in {OURS, PUBLIC}
        sums = StageSums.ask(running.port, model) if ours else None
        before_s = running.process.cpu_s()
        report = self.loads.load(running.port, plans, self.warm_up_s, self.seconds * case.seconds_factor)
        server_cpu_s = running.process.cpu_s() - before_s
        stages = StageSums.ask(running.port, model).since(sums) if sums else {}
        self._check(case.flows, running)
        return {**figures(report, server_cpu_s), **stages}

    def _h2load(self, case: Case, running: Running) -> Round:
        plan = self._plan(case.flows[0], running)
        requests = max(1000, round(self._peak(running.server.name) * self.seconds))
        report = self.loads.h2load(running.port, plan, requests)
        if why := report.why_void(requests, plan.bodies[0].answer_bytes):
            raise Void(why)
        self._check(case.flows, running)
        return {"per_second": report.per_second}

    def _shared(self, case: Case, running: Running) -> Round:
        (flow,) = case.flows
        (sample,) = SAMPLES[flow.samples]
        inputs, right = self.folder / f"{sample.name}.shared.npz", self.folder / f"{sample.name}.shared.right.npz"
        np.savez(inputs, **sample.inputs)  # type: ignore[arg-type]  # its own keywords come first
        np.savez(right, y=self.right[sample.name])
        before_s = running.process.cpu_s()
        plan = SharedPlan(sample.model, inputs, right, flow.in_flight)
        report = self.loads.shared(running.port, plan, self.warm_up_s, self.seconds * case.seconds_factor)
        return figures(report, running.process.cpu_s() - before_s)

    def _without_server(self, case: Case) -> Round:
        if self.in_process is None:
            raise Void("no process for it")
        samples = SAMPLES[case.flows[0].samples]
        report = self.in_process.measure(samples, self.right, self.warm_up_s, self.seconds * case.seconds_factor)
        seen = dict(figures(report, report.cpu_s))
        del seen["load_cpu_us"], seen["load_busy_percent"]  # there is none
        return seen

    def _many(self, case: Case, server: str) -> Round:
        """With one model for the memory that further ones add to, then with many."""
        (first,) = SAMPLES[case.flows[0].samples]
        with self._copies(server, first, 1) as running:
            start_s = running.start_s
            time.sleep(_IDLE_SETTLE_S)
            one_bytes = running.process.memory_bytes()
        with self._copies(server, first, MANY_MODELS) as running:
            time.sleep(_IDLE_SETTLE_S)
            many_bytes = running.process.memory_bytes()
            before_s = running.process.cpu_s()
            time.sleep(self.idle_s)
            idle_cpu_s = running.process.cpu_s() - before_s
            check_server(running.server, running.port, [first], self.right, stream=False)
        return {
            "start_s": start_s,
            "idle_cpu_percent": idle_cpu_s / self.idle_s * 100,
            "model_mib": (many_bytes - one_bytes) / (MANY_MODELS - 1) / _MIB,
            "one_model_mib": one_bytes / _MIB,
        }

    @contextmanager
    def _copies(self, server: str, sample: Sample, count: int) -> Iterator[Running]:
        """A server of its own with so many models that are all the sample's; it has answered right once."""
        with tempfile.TemporaryDirectory(dir=self.folder) as models:
            write_copies(Path(models), sample.model, count, len(self.server_cores))
            program, cores = self.programs[server], self.server_cores
            with started(SERVERS[server], program, Path(models), cores, sample, self.right) as running:
                yield running

    def _plan(self, flow: Flow, running: Running) -> FlowPlan:
        """Checks the server's answers, and learns how long they are."""
        samples = SAMPLES[flow.samples]
        lengths = check_server(running.server, running.port, samples, self.right, stream=flow.stream)
        bodies = [Body(sample.write(self.folder), lengths[sample.name]) for sample in samples]
        rate_per_s = flow.rate_per_s
        if flow.share_of_peak:
            rate_per_s = flow.share_of_peak * self._peak(running.server.name)
        return FlowPlan(flow.samples, bodies, flow.connections, flow.in_flight, flow.stream, rate_per_s)

    def _peak(self, server: str) -> float:
        """The latest rate of the case that measures it; the echo is held to our server's where that is known."""
        ours = self.results.counting(PEAK, OURS)
        cell = ours if server == ECHO and ours else self.results.counting(PEAK, server)
        if cell is None:
            raise Void(f"its peak is not known: case {PEAK} does not count")
        return cell.rounds[-1]["per_second"]

    def _check(self, flows: Sequence[Flow], running: Running) -> None:
        for flow in flows:
            check_server(running.server, running.port, SAMPLES[flow.samples], self.right, stream=flow.stream)


def figures(report: LoadReport, server_cpu_s: float) -> Round:
    """Of the first flow; CPU times of one call, over all calls. Raises Void for a report that does not count."""
    if why := report.why_void():
        raise Void(why)
    flow = report.flows[0]
    latencies = {"per_second": flow.per_second, "p50_us": flow.p50_us, "p90_us": flow.p90_us, "p99_us": flow.p99_us}
    load = {"load_busy_percent": report.cpu_s / report.wall_s * 100}
    if len(report.flows) > 1:  # calls of several kinds have no cost in common
        return {**latencies, **load}
    calls = flow.finished
    return {**latencies, "server_cpu_us": server_cpu_s / calls * 1e6, "load_cpu_us": report.cpu_s / calls * 1e6, **load}
