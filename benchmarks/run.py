"""A whole run: what can be had here is started, and rounds of all cases on all servers follow each other."""

import platform
import tempfile
from collections.abc import Collection, Mapping
from contextlib import ExitStack
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
from benchmarks.progress import Progress
from benchmarks.results import Cell, Results
from benchmarks.samples import SAMPLES, Sample, WrongAnswer
from benchmarks.servers import IN_PROCESS, SERVERS, Program
from benchmarks.setups import Plan, Setup, setups

__all__ = ["run"]


def run(plan: Plan) -> Results:
    """Raises NotHere without a load generator; whatever else is missing or wrong stands in its cell.

    Ctrl-C ends it early: what was measured until then is there, and `interrupted` is among the settings.
    """
    cases = with_needed(plan.cases)
    results = Results(machine(), settings(plan))
    LoadGenerators(plan.load_cores).prepare()
    programs, absent = find([server for server in plan.servers if any(server in case.servers for case in cases)])
    todo = setups(cases, plan)
    progress = Progress(sum(setup.expected_s(plan) for setup in todo))
    try:
        for setup in todo:
            measure(setup, plan, programs, absent, results, progress)
    except KeyboardInterrupt:
        results.settings["interrupted"] = True
    for case in cases:
        if case.rounds_of and case.rounds_of in results.cells:
            results.cells[case.name] = results.cells[case.rounds_of]
    results.settings["took_s"] = round(progress.took_s)
    return results


def measure(  # noqa: PLR0913 - all that a setup needs
    setup: Setup,
    plan: Plan,
    programs: Mapping[str, Program],
    absent: Mapping[str, str],
    results: Results,
    progress: Progress,
) -> None:
    """Starts the servers of a setup, and goes its rounds."""
    with tempfile.TemporaryDirectory(prefix="ortolan-bench-") as temporary, ExitStack() as stack:
        stack.enter_context(own_cores(setup.load_cores))
        folder, models, cores = Path(temporary), Path(temporary) / "models", setup.server_cores
        write_repository(models, setup.models, len(cores))
        samples = [sample for case in setup.cases for flow in case.flows for sample in SAMPLES[flow.samples]]
        right = right_answers(models, samples)
        here = {name: programs[name] for name in setup.servers(plan) if name in programs}
        fleet = stack.enter_context(Fleet(models, cores, samples[0], right))
        in_process = None
        if (alone := here.pop(IN_PROCESS, None)) is not None:
            in_process = stack.enter_context(InProcess(alone, models, cores, folder))
        refused = fleet.start(here)
        if starts_s := setup.starts_s(plan):
            progress.done(starts_s, f"started {', '.join(sorted(here.keys() - refused.keys()))}")
        loads = LoadGenerators(setup.load_cores)
        loads.prepare()
        bench = Bench(
            folder, cores, plan.seconds, plan.warm_up_s, plan.idle_s, loads, programs, fleet, in_process, right, results
        )
        missing = {**absent, **refused}
        for number in range(plan.rounds):
            for case in setup.cases:
                if number < plan.rounds_of(case):
                    one_round(bench, case, plan, number, missing, progress)


def one_round(  # noqa: PLR0913
    bench: Bench, case: Case, plan: Plan, number: int, missing: Mapping[str, str], progress: Progress
) -> None:
    """A case on each of its servers; each round begins with another one."""
    servers = plan.servers_of(case)
    turn = number % len(servers) if servers else 0
    for server in servers[turn:] + servers[:turn]:
        cell = bench.results.cell(case.name, server)
        cell.absent = missing.get(server)
        if not (cell.absent or cell.void):
            try:
                cell.rounds.append(bench.measure(case, server))
            except (Void, WrongAnswer, LoadFailed, Ended, TimeoutError, NotHere) as error:
                cell.void = f"round {number + 1}: {error}"
        said = f"round {number + 1}/{plan.rounds_of(case)}  {case.name}  {server}  {outcome(case, cell)}"
        progress.done(plan.step_s(case), said)


def outcome(case: Case, cell: Cell) -> str:
    if cell.absent or cell.void:
        return f"VOID: {cell.void}" if cell.void else f"not here: {cell.absent}"
    figure = case.figure
    return f"{cell.rounds[-1][figure.key] * figure.scale:,.3g} {figure.unit}"


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
