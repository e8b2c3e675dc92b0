"""What was measured, and the arithmetic on it: medians, spread, ratios of the rounds that stood side by side."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

__all__ = ["Cell", "Results", "Spread", "ratio_of_rounds", "spread"]

Round = Mapping[str, float]
"""Figures of one round by name, units in the names: `per_second`, `p50_us`, `server_cpu_us`, …"""


class Spread(NamedTuple):
    median: float
    low: float
    high: float


@dataclass
class Cell:
    """One server in one case. `rounds` holds one entry for each round, in order."""

    rounds: list[Round] = field(default_factory=list)
    void: str | None = None
    """Why nothing that was measured here counts: a wrong answer, a call that failed, a server that ended."""
    absent: str | None = None
    """Why nothing was measured."""

    @property
    def counts(self) -> bool:
        return bool(self.rounds) and self.void is None and self.absent is None

    def figures(self, name: str) -> list[float]:
        return [figures.get(name, math.nan) for figures in self.rounds]


@dataclass
class Results:
    """Cells by case and server, and on what they were measured."""

    machine: Mapping[str, str]
    settings: dict[str, object]
    cells: dict[str, dict[str, Cell]] = field(default_factory=dict)

    def cell(self, case: str, server: str) -> Cell:
        return self.cells.setdefault(case, {}).setdefault(server, Cell())

    def counting(self, case: str, server: str) -> Cell | None:
        """The cell if it has figures that count."""
        cell = self.cells.get(case, {}).get(server)
        return cell if cell and cell.counts else None

    def voids(self) -> list[tuple[str, str, str]]:
        return [
            (case, server, cell.void)
            for case, servers in self.cells.items()
            for server, cell in servers.items()
            if cell.void
        ]


def spread(values: Sequence[float]) -> Spread | None:
    """None when there is nothing."""
    finite = [value for value in values if math.isfinite(value)]
    return Spread(median(finite), min(finite), max(finite)) if finite else None


def ratio_of_rounds(above: Sequence[float], below: Sequence[float]) -> Spread | None:
    """Of each round its own ratio, then their median and spread: a slow minute hits both sides of a round.

    Rounds that one side lacks are left out.
    """
    return spread([a / b for a, b in zip(above, below, strict=False) if b])
