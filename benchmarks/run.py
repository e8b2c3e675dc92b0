"""A whole run: what can be had here is started, and rounds of all cases on all servers follow each other."""

import platform
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from benchmarks.calls import Answers
from benchmarks.cases import CASES, PEAK, Case
from benchmarks.environments import NotHere
from benchmarks.fleet import Fleet, InProcess
from benchmarks.load import LoadFailed, LoadGenerators
from benchmarks.measuring import Bench, Void
from benchmarks.models import write_repository
from benchmarks.peers.sessions import open_sessions
from benchmarks.processes import Ended, own_cores
from benchmarks.results import Results
from benchmarks.samples import SAMPLES, Sample, WrongAnswer
from benchmarks.servers import IN_PROCESS, SERVERS, Program

__all__ = ["Plan", "run"]

_MOST_ROUNDS_OF_STARTS = 3  # of 50 models each: minutes of waiting that do not make a median better


@dataclass(frozen=True)
class Plan:
    """What a run does. `seconds`: how long each window of a case lasts, times the case's factor."""

    cases: Sequence[str]
    servers: Sequence[str]
    rounds: int
    seconds: float
    warm_up_s: float
    idle_s: float
    server_cores: Sequence[int]
    load_cores: Sequence[int]


def run(plan: Plan) -> Results:
    """Raises NotHere without a load generator; whatever else is missing or wrong stands in its cell."""
    cases = with_needed(plan.cases)
    results = Results(machine(), settings(plan))
    loads = LoadGenerators(plan.load_cores)
    loads.prepare()
    with own_cores(plan.load_cores), tempfile.TemporaryDirectory(prefix="ortolan-bench-") as temporary:
        folder = Path(temporary)
        samples = [sample for case in cases for flow in case.flows for sample in SAMPLES[flow.samples]]
        models = folder / "models"
        write_repository(models, {sample.model for sample in samples}, len(plan.server_cores))
        right = right_answers(models, samples)
        programs, absent = find([server for server in plan.servers if any(server in case.servers for case in cases)])
        with ExitStack() as stack:
            fleet = stack.enter_context(Fleet(models, plan.server_cores, samples[0], right))
            in_process = None
            if IN_PROCESS in programs:
                in_process = stack.enter_context(InProcess(programs[IN_PROCESS], models, plan.server_cores, folder))
            if any(case.kind in {"load", "h2load", "shared"} for case in cases):
                absent |= fleet.start({name: each for name, each in programs.items() if name != IN_PROCESS})
            bench = Bench(
                folder,
                plan.server_cores,
                plan.seconds,
                plan.warm_up_s,
                plan.idle_s,
                loads,
                programs,
                fleet,
                in_process,
                right,
                results,
            )
            for number in range(plan.rounds):
                one_round(bench, cases, plan, number, absent)
    for case in cases:
        if case.rounds_of:
            results.cells[case.name] = results.cells[case.rounds_of]
    return results


def one_round(bench: Bench, cases: Sequence[Case], plan: Plan, number: int, absent: Mapping[str, str]) -> None:
    """Every case on every server; each round begins with another server."""
    for case in cases:
        if case.rounds_of or (case.kind == "many" and number >= _MOST_ROUNDS_OF_STARTS):
            continue
        servers = [server for server in plan.servers if server in case.servers]
        turn = number % len(servers) if servers else 0
        for server in servers[turn:] + servers[:turn]:
            cell = bench.results.cell(case.name, server)
            cell.absent = absent.get(server)
            if cell.absent or cell.void:
                continue
            try:
                cell.rounds.append(bench.measure(case, server))
            except (Void, WrongAnswer, LoadFailed, Ended, TimeoutError, NotHere) as error:
                cell.void = f"round {number + 1}: {error}"
            say(f"round {number + 1}/{plan.rounds}  {case.name}  {server}", case, cell.void, cell.rounds)


def say(where: str, case: Case, void: str | None, rounds: Sequence[Mapping[str, float]]) -> None:
    figure = case.figure
    seen = f"VOID: {void}" if void else f"{rounds[-1][figure.key] * figure.scale:,.3g} {figure.unit}"
    print(f"{where}  {seen}", file=sys.stderr, flush=True)


def with_needed(names: Collection[str]) -> list[Case]:
    """The cases of these names and those whose figures they need, in the order of the report."""
    wanted = set(names)
    for name in names:
        case = CASES[name]
        wanted |= {case.rounds_of} - {""}
        if case.kind == "h2load" or any(flow.share_of_peak for flow in case.flows):
            wanted.add(PEAK)
    return [case for name, case in CASES.items() if name in wanted]


def find(servers: Collection[str]) -> tuple[dict[str, Program], dict[str, str]]:
    """What can be had of these servers, and why the others cannot."""
    programs, absent = {}, {}
    for server in servers:
        try:
            programs[server] = SERVERS[server].find()
        except NotHere as error:
            absent[server] = str(error)
    return programs, absent


def right_answers(models: Path, samples: Collection[Sample]) -> Answers:
    sessions = open_sessions(models, 1)
    return {sample.name: sessions[sample.model].run(None, dict(sample.inputs))[0] for sample in samples}


def machine() -> dict[str, str]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cpu = names[0] if names else platform.machine()
    packages = {name: metadata.version(name) for name in ("ortolan", "onnxruntime", "grpcio", "protobuf", "numpy")}
    return {"cpu": cpu, "system": platform.platform(), "python": platform.python_version(), **packages}


def settings(plan: Plan) -> dict[str, object]:
    return {
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "warm_up_s": plan.warm_up_s,
        "idle_s": plan.idle_s,
        "server_cores": list(plan.server_cores),
        "load_cores": list(plan.load_cores),
    }
