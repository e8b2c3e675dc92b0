"""Results as SVG: a picture for each case, a bar for each server, whiskers from the lowest round to the highest.

What runs in process is left out where it is not the limit: its bar would dwarf the others. The same results give the
same bytes with the same matplotlib. Text stays text.
"""

from pathlib import Path
from textwrap import wrap

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from benchmarks.cases import CASES, Case
from benchmarks.results import Cell, Results, spread
from benchmarks.servers import ECHO, IN_PROCESS, LANE_ECHO, OURS, PUBLIC, SERVERS
from benchmarks.tables import number

__all__ = ["write_plots"]

# From Okabe and Ito's colours, which nearly everybody can tell apart.
_OURS, _LIMIT, _PEER = "#D55E00", "#999999", "#0072B2"
_INK = "#333333"
_WIDTH_INCHES, _ROW_INCHES, _FRAME_INCHES = 8.0, 0.34, 1.0
_TITLE_LETTERS = 100
_STYLE = {"svg.fonttype": "none", "svg.hashsalt": "ortolan", "font.family": "sans-serif", "text.color": _INK}


def write_plots(results: Results, folder: Path) -> list[Path]:
    """Writes `<case>.svg` for each case of which something counts. Returns them."""
    folder.mkdir(parents=True, exist_ok=True)
    return [
        _plot(CASES[name], cells, folder / f"{name}.svg")
        for name, cells in results.cells.items()
        if any(cell.counts for cell in cells.values())
    ]


def _plot(case: Case, cells: dict[str, Cell], path: Path) -> Path:
    figure = case.figure
    spreads = {
        server: seen
        for server in SERVERS
        if server in cells and cells[server].counts and (server != IN_PROCESS or case.reference == IN_PROCESS)
        if (seen := spread([value * figure.scale for value in cells[server].figures(figure.key)]))
    }
    places = range(len(spreads))
    medians = [seen.median for seen in spreads.values()]
    below = [seen.median - seen.low for seen in spreads.values()]
    above = [seen.high - seen.median for seen in spreads.values()]
    with mpl.rc_context(_STYLE):  # type: ignore[arg-type]  # its type lists every key
        picture = Figure(figsize=(_WIDTH_INCHES, _FRAME_INCHES + _ROW_INCHES * len(spreads)), layout="constrained")
        axes = picture.subplots()
        axes.barh(places, medians, xerr=[below, above], color=[_colour(server) for server in spreads], ecolor=_INK)
        axes.set_yticks(places, [SERVERS[server].title for server in spreads])
        axes.invert_yaxis()
        axes.set_xlim(0, max(seen.high for seen in spreads.values()) * 1.18 or 1)
        for place, seen in zip(places, spreads.values(), strict=True):
            axes.annotate(number(seen.median), (seen.high, place), (6, 0), textcoords="offset points", va="center")
        better = "more is better" if figure.more_is_better else "less is better"
        axes.set_xlabel(f"{figure.unit}, {better}")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        picture.suptitle("\n".join(wrap(case.title, _TITLE_LETTERS)), x=0.01, ha="left", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        picture.savefig(path, format="svg", metadata={"Date": None, "Creator": "Ortolan's benchmarks"})
    return path


def _colour(server: str) -> str:
    if server in {OURS, PUBLIC}:
        return _OURS
    return _LIMIT if server in {ECHO, LANE_ECHO, IN_PROCESS} else _PEER
