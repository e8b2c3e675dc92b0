"""Results as tables: for a terminal, as Markdown, as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from benchmarks.cases import CASES, PEAK, Case
from benchmarks.goals import Verdict, judge, summary
from benchmarks.results import Cell, Results, Spread, ratio_of_rounds, spread
from benchmarks.servers import OURS, SERVERS
from benchmarks.tables import NONE, Table, markdown, number, text

__all__ = ["as_json", "as_markdown", "as_text"]

_EXTRAS = (
    ("P50 µs", "p50_us"),
    ("P99 µs", "p99_us"),
    ("SERVER CPU µs", "server_cpu_us"),
    ("LOAD CPU µs", "load_cpu_us"),
    ("LOAD BUSY %", "load_busy_percent"),
    ("ONE MODEL MiB", "one_model_mib"),
)

_STAGES = (
    ("READ", "read_us"),
    ("RUN", "run_us"),
    ("WRITE", "write_us"),
)


def as_text(results: Results) -> str:
    shown = [case_table(results, name) for name in results.cells]
    return "\n\n".join([header(results), *map(text, [*shown, *closing_tables(results)])])


def as_markdown(results: Results, pictures: Mapping[str, str]) -> str:
    """`pictures` by case, as Markdown has them."""
    cases = [f"{markdown(case_table(results, name))}\n\n{pictures.get(name, '')}".strip() for name in results.cells]
    first = [markdown(table) for table in reversed(closing_tables(results))]
    return "\n\n".join([header(results), *first, *cases])


def as_json(results: Results) -> dict[str, object]:
    return {
        "machine": results.machine,
        "settings": results.settings,
        "cases": {name: _case_json(CASES[name], cells) for name, cells in results.cells.items()},
        "goals": [_goal_json(verdict) for verdict in judge(results)],
    }


def header(results: Results) -> str:
    machine, settings = dict(results.machine), results.settings
    rounds = f"{settings['rounds']} rounds, windows of {settings['seconds']} s and more"
    took = f", {minutes:.0f} minutes in all" if (minutes := float(str(settings.get("took_s", 0))) / 60) >= 1 else ""
    early = "; ended early" if settings.get("interrupted") else ""
    versions = ", ".join(f"{name} {version}" for name, version in machine.items() if name not in {"cpu", "system"})
    return f"{machine['cpu']}; {rounds}{took}{early}; {versions}; {machine['system']}"


def closing_tables(results: Results) -> list[Table]:
    verdicts, stages = judge(results), stage_table(results)
    return [*([stages] if stages.rows else []), *([goal_table(verdicts)] if verdicts else [])]


def where(case: Case, settings: Mapping[str, object]) -> str:
    """On what a case ran."""
    server, load = sorted(_numbers(settings["server_cores"])), sorted(_numbers(settings["load_cores"]))
    both = sorted({*server, *load})
    if case.cores == "shared":
        return f"servers, load generator and what runs in process: all on {_cores(both)}; {_threads(len(both))}"
    if case.kind == "many":
        return f"servers on {_cores(server)}; {_threads(len(server))}"
    return f"servers on {_cores(server)}, load generator on {_cores(load)}; {_threads(len(server))}"


def case_table(results: Results, name: str) -> Table:
    case, cells = CASES[name], results.cells[name]
    figure = case.figure
    extras = [
        (title, key)
        for title, key in _EXTRAS
        if key != figure.key and any(key in seen for cell in cells.values() if cell.counts for seen in cell.rounds)
    ]
    rows, notes = [], [where(case, results.settings)]
    for server in SERVERS:
        cell = cells.get(server)
        if cell is None:
            continue
        if not cell.counts:
            why = f"void: {cell.void}" if cell.void else f"not here: {cell.absent}"
            rows.append([SERVERS[server].title, *[NONE] * (3 + len(extras))])
            notes.append(f"{SERVERS[server].title}: {why}")
            continue
        values = spread([value * figure.scale for value in cell.figures(figure.key)])
        others = [spread(cell.figures(key)) for _, key in extras]
        rows.append(
            [
                SERVERS[server].title,
                number(values.median) if values else NONE,
                f"{number(values.low)}-{number(values.high)}" if values else NONE,
                _times(_to_reference(case, cell, cells.get(case.reference))),
                *(number(other.median) if other else NONE for other in others),
            ]
        )
    head = [
        "",
        f"MEDIAN {figure.unit}",
        "LOW-HIGH",
        f"× {SERVERS[case.reference].title}",
        *(title for title, _ in extras),
    ]
    return Table(f"{case.name}: {case.title}", head, rows, notes)


def goal_table(verdicts: Sequence[Verdict]) -> Table:
    rows = []
    for verdict in verdicts:
        seen, unit = verdict.seen, verdict.goal.unit
        met = {True: "met", False: "NOT MET", None: "not measured"}[verdict.met]
        figure = f"{number(seen.median)} {unit}" if seen else NONE
        rows.append([verdict.goal.sentence, figure, f"{number(seen.low)}-{number(seen.high)}" if seen else NONE, met])
    return Table("Must show", ["", "SEEN", "LOW-HIGH", ""], rows, [summary(verdicts)])


def stage_table(results: Results) -> Table:
    """Of our server, in the two cases that its work for a call decides: from its own statistics, and the system's."""
    rows = []
    for name in ("tiny-1", PEAK):
        cell = results.counting(name, OURS)
        if cell is None or not all(key in seen for _, key in _STAGES for seen in cell.rounds):
            continue
        keys = [key for _, key in _STAGES]
        rest = [seen["server_cpu_us"] - sum(seen[key] for key in keys) for seen in cell.rounds]
        columns = [*(cell.figures(key) for key in keys), rest]
        columns += [cell.figures(key) for key in ("server_cpu_us", "wait_us", "p50_us", "calls_per_run")]
        rows.append([name, *(number(seen.median) if (seen := spread(column)) else NONE for column in columns)])
    head = ["", *(f"{title} µs" for title, _ in _STAGES), "REST µs", "CPU µs", "WAIT µs", "P50 µs", "CALLS PER RUN"]
    note = (
        "a call's share of each stage by the server's clock; REST is what its processor time has beside them: gRPC, "
        "sockets, the threads' changing over; WAIT is in the queue, and costs nothing"
    )
    return Table("Where the microseconds go", head, rows, [note])


def _to_reference(case: Case, cell: Cell, reference: Cell | None) -> Spread | None:
    if reference is None or not reference.counts:
        return None
    return ratio_of_rounds(cell.figures(case.figure.key), reference.figures(case.figure.key))


def _times(ratio: Spread | None) -> str:
    return f"×{number(ratio.median)}" if ratio else NONE


def _numbers(cores: object) -> list[int]:
    return [int(core) for core in cores] if isinstance(cores, list) else []


def _cores(cores: Sequence[int]) -> str:
    return f"core {cores[0]}" if len(cores) == 1 else f"cores {', '.join(map(str, cores))}"


def _threads(count: int) -> str:
    return f"{count} thread{'s' if count > 1 else ''} for each model"


def _case_json(case: Case, cells: Mapping[str, Cell]) -> dict[str, object]:
    return {"title": case.title, "servers": {server: asdict(cell) for server, cell in cells.items()}}


def _goal_json(verdict: Verdict) -> dict[str, object]:
    seen = verdict.seen._asdict() if verdict.seen else None
    return {"case": verdict.goal.case, "goal": verdict.goal.sentence, "seen": seen, "met": verdict.met}
