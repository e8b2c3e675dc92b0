"""Pictures, as text that can be searched."""

from pathlib import Path

from benchmarks.plots import write_plots
from benchmarks.results import Cell
from tests.benchmarks.measured import results


def test_a_picture_for_each_case_that_counts(tmp_path: Path) -> None:
    seen = results("per_second", {"tiny-64": {"ortolan": [90.0, 80.0], "echo": [100.0, 120.0], "in-process": [1e6]}})
    seen.cells["tiny-64"]["mlserver"] = Cell(void="round 1: a wrong answer")
    seen.cells["tiny-8"] = {"ortolan": Cell(absent="no")}
    (path,) = write_plots(seen, tmp_path)
    assert path.name == "tiny-64.svg"
    picture = path.read_text(encoding="utf-8")
    assert "Ortolan, fast lane" in picture
    assert "85.0" in picture
    assert "MLServer" not in picture
    assert "in process" not in picture
    write_plots(seen, tmp_path)
    assert path.read_text(encoding="utf-8") == picture
