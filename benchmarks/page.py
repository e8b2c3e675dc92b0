"""`docs/performance.md`: what stands between its markers is written here, and the pictures and figures beside it."""

import json

from benchmarks.environments import ROOT
from benchmarks.plots import write_plots
from benchmarks.report import as_json, as_markdown
from benchmarks.results import Results

__all__ = ["PAGE", "between_markers", "write_page"]

PAGE = ROOT / "docs" / "performance.md"
FOLDER = ROOT / "docs" / "performance"
BEGIN, END = "<!-- report: begin -->", "<!-- report: end -->"


def write_page(results: Results, command: str) -> None:
    """Puts the report of a run, the command that made it and its pictures into the page, and all rounds beside it."""
    pictures = {path.stem: f"![{path.stem}]({FOLDER.name}/{path.name})" for path in write_plots(results, FOLDER)}
    report = f"```console\n$ {command}\n```\n\n{as_markdown(results, pictures)}"
    PAGE.write_text(between_markers(PAGE.read_text(encoding="utf-8"), report), encoding="utf-8")
    (FOLDER / "report.json").write_text(json.dumps(as_json(results), indent=1) + "\n", encoding="utf-8")


def between_markers(page: str, text: str) -> str:
    """Raises ValueError for a page without its two markers."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the page lacks {BEGIN} or {END}")
    return f"{before}{BEGIN}\n{text.strip()}\n{END}{after}"
