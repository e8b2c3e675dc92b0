"""Reports of earlier runs, read again: cases that were measured apart become one report."""

import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cases import CASES
from benchmarks.results import Cell, Results

__all__ = ["OtherMachine", "merge", "read"]


class OtherMachine(Exception):
    """Figures of two machines, or of other versions, do not belong into one report."""


def read(path: Path) -> Results:
    """What `--json` wrote."""
    document = json.loads(path.read_text(encoding="utf-8"))
    cells = {
        name: {server: Cell(**cell) for server, cell in case["servers"].items()}
        for name, case in document["cases"].items()
    }
    return Results(document["machine"], document["settings"], cells)


def merge(reports: Sequence[Results]) -> Results:
    """Whole cases, in the order of the report; where two have the same, the later one counts. Raises OtherMachine."""
    first = reports[0]
    for other in reports[1:]:
        for name, value in other.machine.items():
            if first.machine.get(name) != value:
                raise OtherMachine(f"{name} is {first.machine.get(name)} in one report and {value} in another")
    measured = {name: servers for report in reports for name, servers in report.cells.items()}
    took_s = sum(float(str(report.settings.get("took_s", 0))) for report in reports)
    cells = {name: measured[name] for name in CASES if name in measured}
    return Results(first.machine, {**first.settings, "took_s": took_s}, cells)
