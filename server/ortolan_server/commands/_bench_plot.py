"""A bench as an SVG: rows a second and latency against batch size, on white.

Needs matplotlib, so this module is imported for `--plot` alone. The same report gives the same bytes with the same
matplotlib. Text stays text: it can be searched, and takes the reader's font.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from ortolan_server.bench.figures import duration, rounded
from ortolan_server.bench.report import BenchReport, Row
from ortolan_server.units import counted

__all__ = ["write_plot"]

# From Okabe and Ito's colours, which nearly everybody can tell apart; with markers of their own they survive a copier.
_COLOURS = ("#333333", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_INK, _QUIET, _GRID = "#333333", "#5A5A5A", "#E6E6E6"
_WIDTH_INCHES, _PANEL_INCHES, _TITLE_INCHES, _AXIS_INCHES, _LEGEND_ROW_INCHES = 11.0, 3.2, 0.85, 0.6, 0.22
_LEGEND_COLUMNS = 4
_DODGE = 0.36  # what chains share of a batch size's place, which is 1 wide: their whiskers must not lie on each other
_LABEL_ROOM = 0.4  # for the names right of the last batch size, of the width of all places
_LABEL_GAP = 0.06  # least distance between names, of the panel's height
_HEADROOM = 1.08
_MOST_LATENCY_LABELS = 8  # more would lie on each other


class _Series(NamedTuple):
    """A row that has figures, and how it looks."""

    row: Row
    colour: str
    marker: str
    shift: float


def write_plot(report: BenchReport, path: Path) -> None:
    """Writes the SVG. Raises OSError where it cannot be written."""
    series = _series([row for row in report.rows if row.batches])
    without = [row for row in report.rows if not row.batches]
    legend_rows = -(-len(report.rows) // _LEGEND_COLUMNS)
    below_inches = _AXIS_INCHES + legend_rows * _LEGEND_ROW_INCHES
    height_inches = _TITLE_INCHES + _PANEL_INCHES + below_inches
    with _style():
        figure = Figure(figsize=(_WIDTH_INCHES, height_inches))
        figure.subplots_adjust(
            left=0.07,
            right=0.99,
            top=1 - _TITLE_INCHES / height_inches,
            bottom=below_inches / height_inches,
            wspace=0.2,
        )
        if series:
            throughput, latency = figure.subplots(1, 2)
            _throughput(throughput, report, series)
            _latency(latency, report, series)
        else:
            figure.text(0.5, 0.5, "no chain was measured", fontsize=12, color=_QUIET, ha="center", va="center")
        _titles(figure, report, height_inches)
        handles = [_line(one) for one in series] + [_absent(row) for row in without]
        figure.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.06, 0), ncols=_LEGEND_COLUMNS, frameon=False)
        creator = f"Ortolan {report.host.ortolan_version}"
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": creator})


def _series(rows: Sequence[Row]) -> list[_Series]:
    found = []
    for number, row in enumerate(rows):
        shift = _DODGE * (number / (len(rows) - 1) - 0.5) if len(rows) > 1 else 0.0
        marker = _MARKERS[(number + number // len(_COLOURS)) % len(_MARKERS)]
        found.append(_Series(row, _COLOURS[number % len(_COLOURS)], marker, shift))
    return found


def _throughput(axes: Axes, report: BenchReport, series: Sequence[_Series]) -> None:
    axes.set_title("Rows a second: median round, whiskers to the slowest and the fastest", _title_font(), loc="left")
    places = {size: place for place, size in enumerate(report.plan.batch_sizes)}
    ends: list[tuple[float, float, str]] = []
    for row, colour, marker, shift in series:
        at = [places[found.batch_size] + shift for found in row.batches]
        rates = [found.rows_per_s for found in row.batches]
        below = [found.rows_per_s - found.rows_per_s_low for found in row.batches]
        above = [found.rows_per_s_high - found.rows_per_s for found in row.batches]
        axes.errorbar(
            at, rates, yerr=[below, above], color=colour, marker=marker, markersize=5, linewidth=1.4, capsize=3
        )
        ends.append((at[-1], rates[-1], f"{row.name}  {rounded(rates[-1])}"))
    highest = max(found.rows_per_s_high for one in series for found in one.row.batches)
    axes.set_ylim(0, highest * _HEADROOM)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:,.10g}"))
    axes.set_ylabel("rows/s")
    _batch_axis(axes, report, room=_LABEL_ROOM * len(places))
    _name_ends(axes, ends, len(places) - 1 + _DODGE / 2 + 0.04 * len(places))


def _name_ends(axes: Axes, ends: Sequence[tuple[float, float, str]], column: float) -> None:
    """Writes each name right of its line's end, moved apart where ends are close."""
    highest = axes.get_ylim()[1]
    ordered = sorted(ends, key=lambda end: end[1])
    heights = [end[1] / highest for end in ordered]
    for lower, upper in pairwise(range(len(heights))):
        heights[upper] = max(heights[upper], heights[lower] + _LABEL_GAP)
    over = max(heights, default=0.0) - 1
    if over > 0:  # too many at the top: those below make room
        heights[-1] -= over
        for upper, lower in pairwise(reversed(range(len(heights)))):
            heights[lower] = min(heights[lower], heights[upper] - _LABEL_GAP)
    for (at, rate, name), height in zip(ordered, heights, strict=True):
        axes.plot([at, column], [rate, height * highest], color=_GRID, linewidth=1, zorder=0)
        axes.text(column + 0.03, height * highest, name, color=_INK, fontsize=8.5, verticalalignment="center")


def _latency(axes: Axes, report: BenchReport, series: Sequence[_Series]) -> None:
    axes.set_title("Time of one run: p50, whisker to p99", _title_font(), loc="left")
    places = {size: place for place, size in enumerate(report.plan.batch_sizes)}
    axes.set_yscale("log")
    for row, colour, marker, shift in series:
        at = [places[found.batch_size] + shift for found in row.batches]
        middle = [found.p50_s for found in row.batches]
        worst = [found.p99_s for found in row.batches]
        axes.vlines(at, middle, worst, color=colour, linewidth=1.4)
        axes.plot(at, worst, color=colour, marker="_", markersize=7, linestyle="none")
        axes.plot(at, middle, color=colour, marker=marker, markersize=5, linestyle="none")
        if len(places) * len(series) <= _MOST_LATENCY_LABELS:
            _name_points(axes, at, middle)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda seconds, _place: _tick(seconds)))
    axes.set_ylabel("time of a run (logarithmic)")
    axes.margins(y=0.12)
    _batch_axis(axes, report, room=0.0)


def _name_points(axes: Axes, at: Sequence[float], middle: Sequence[float]) -> None:
    for place, seconds in zip(at, middle, strict=True):
        axes.annotate(
            duration(seconds),
            (place, seconds),
            (0, -6),
            textcoords="offset points",
            color=_QUIET,
            fontsize=7,
            horizontalalignment="center",
            verticalalignment="top",
        )


def _tick(seconds: float) -> str:
    for unit, name in ((1e-6, "µs"), (1e-3, "ms")):
        if seconds < 999 * unit:
            return f"{seconds / unit:g} {name}"
    return f"{seconds:g} s"


def _batch_axis(axes: Axes, report: BenchReport, *, room: float) -> None:
    """The places of the batch sizes, equally far apart, and `room` right of them."""
    sizes = report.plan.batch_sizes
    axes.set_xlim(-0.5, len(sizes) - 0.5 + room)
    axes.set_xticks(range(len(sizes)), [str(size) for size in sizes])
    axes.set_xlabel("batch size (rows a run)", color=_QUIET)
    axes.grid(axis="y", color=_GRID, linewidth=0.8)


def _title_font() -> dict[str, object]:
    return {"fontsize": 9, "color": _INK}


def _style() -> AbstractContextManager[None]:
    return mpl.rc_context(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "ortolan",
            "text.parse_math": False,  # names are no formulas
            "font.family": "sans-serif",
            "font.size": 9.0,
            "axes.edgecolor": _QUIET,
            "axes.labelcolor": _QUIET,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.axisbelow": True,
            "xtick.color": _QUIET,
            "ytick.color": _QUIET,
        }
    )


def _titles(figure: Figure, report: BenchReport, height_inches: float) -> None:
    host, plan = report.host, report.plan
    where = f"{host.cpu}, {counted(host.cores, 'core')}; {host.runtime}, Ortolan {host.ortolan_version}"
    how = f"{counted(plan.rounds, 'round')} × {plan.seconds:g} s at each batch size"
    top = 1 - 0.12 / height_inches
    figure.text(0.01, top, f"{report.model}/{report.version}", fontsize=13, weight="bold", color=_INK, va="top")
    figure.text(0.01, top - 0.28 / height_inches, f"{where}; {how}", fontsize=8.5, color=_QUIET, va="top")


def _line(one: _Series) -> Line2D:
    return Line2D([], [], color=one.colour, marker=one.marker, markersize=5, linewidth=1.4, label=one.row.name)


def _absent(row: Row) -> Line2D:
    label = f"{row.name}: {row.state.lower()}, no figures"
    return Line2D([], [], color=_QUIET, marker="x", linestyle="none", label=label)
