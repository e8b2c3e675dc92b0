"""Results as tables: for a terminal, as Markdown, as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from benchmarks.cases import CASES, Case
from benchmarks.goals import Verdict, judge
from benchmarks.results import Cell, Results, Spread, ratio_of_rounds, spread
from benchmarks.servers import SERVERS

__all__ = ["as_json", "as_markdown", "as_text"]

_EXTRAS = (
    ("P50 µs", "p50_us"),
    ("P99 µs", "p99_us"),
    ("SERVER CPU µs", "server_cpu_us"),
    ("LOAD CPU µs", "load_cpu_us"),
    ("LOAD BUSY %", "load_busy_percent"),
    ("ONE MODEL MiB", "one_model_mib"),
)
_NONE = "-"


@dataclass(frozen=True)
class Table:
    """`notes` go below it. The first column is text, the others are figures."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()


def as_text(results: Results) -> str:
    return "\n\n".join([header(results), *(_text(table) for table in tables(results))])


def as_markdown(results: Results) -> str:
    return "\n\n".join([header(results), *(_markdown(table) for table in tables(results))])


def as_json(results: Results) -> dict[str, object]:
    return {
        "machine": results.machine,
        "settings": results.settings,
        "cases": {name: _case_json(CASES[name], cells) for name, cells in results.cells.items()},
        "goals": [_goal_json(verdict) for verdict in judge(results)],
    }


def header(results: Results) -> str:
    machine, settings = dict(results.machine), results.settings
    cores = (
        f"server on core {_cores(settings['server_cores'])}, load generator on core {_cores(settings['load_cores'])}"
    )
    rounds = f"{settings['rounds']} rounds, windows of {settings['seconds']} s and more"
    versions = ", ".join(f"{name} {version}" for name, version in machine.items() if name not in {"cpu", "system"})
    return f"{machine['cpu']}; {cores}; {rounds}; {versions}; {machine['system']}"


def tables(results: Results) -> list[Table]:
    shown = [case_table(CASES[name], cells) for name, cells in results.cells.items()]
    verdicts = judge(results)
    return [*shown, goal_table(verdicts)] if verdicts else shown


def case_table(case: Case, cells: Mapping[str, Cell]) -> Table:
    figure = case.figure
    extras = [
        (title, key)
        for title, key in _EXTRAS
        if key != figure.key and any(key in seen for cell in cells.values() if cell.counts for seen in cell.rounds)
    ]
    rows, notes = [], []
    for server in SERVERS:
        cell = cells.get(server)
        if cell is None:
            continue
        if not cell.counts:
            why = f"void: {cell.void}" if cell.void else f"not here: {cell.absent}"
            rows.append([SERVERS[server].title, *[_NONE] * (3 + len(extras))])
            notes.append(f"{SERVERS[server].title}: {why}")
            continue
        values = spread([value * figure.scale for value in cell.figures(figure.key)])
        others = [spread(cell.figures(key)) for _, key in extras]
        rows.append(
            [
                SERVERS[server].title,
                number(values.median) if values else _NONE,
                f"{number(values.low)}-{number(values.high)}" if values else _NONE,
                _times(_to_reference(case, cell, cells.get(case.reference))),
                *(number(other.median) if other else _NONE for other in others),
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
        met = {True: "yes", False: "NO", None: "not measured"}[verdict.met]
        figure = f"{number(seen.median)} {unit}" if seen else _NONE
        rows.append([verdict.goal.text, figure, f"{number(seen.low)}-{number(seen.high)}" if seen else _NONE, met])
    return Table("goals", ["", "SEEN", "LOW-HIGH", "MET"], rows)


def number(value: float) -> str:
    """Three digits that count, or all before the point."""
    if abs(value) >= 100:  # noqa: PLR2004 - three digits
        return f"{value:,.0f}"
    return f"{value:#.3g}".rstrip(".") if value else "0"


def _to_reference(case: Case, cell: Cell, reference: Cell | None) -> Spread | None:
    if reference is None or not reference.counts:
        return None
    return ratio_of_rounds(cell.figures(case.figure.key), reference.figures(case.figure.key))


def _times(ratio: Spread | None) -> str:
    return f"×{number(ratio.median)}" if ratio else _NONE


def _cores(cores: object) -> str:
    return ", ".join(map(str, cores)) if isinstance(cores, list) else str(cores)


def _text(table: Table) -> str:
    lines = [table.head, *table.rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(table.head))]
    shown = [
        "  ".join(
            word.rjust(width) if column else word.ljust(width)
            for column, (word, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([table.title, *shown, *table.notes])


def _markdown(table: Table) -> str:
    rule = ["---", *["---:"] * (len(table.head) - 1)]
    lines = [f"| {' | '.join(line)} |" for line in (table.head, rule, *table.rows)]
    notes = [f"\n{note}." for note in table.notes]
    return "\n".join([f"### {table.title}", "", *lines, *notes])


def _case_json(case: Case, cells: Mapping[str, Cell]) -> dict[str, object]:
    return {"title": case.title, "servers": {server: asdict(cell) for server, cell in cells.items()}}


def _goal_json(verdict: Verdict) -> dict[str, object]:
    seen = verdict.seen._asdict() if verdict.seen else None
    return {"case": verdict.goal.case, "goal": verdict.goal.text, "seen": seen, "met": verdict.met}
