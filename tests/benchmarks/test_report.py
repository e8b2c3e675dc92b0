"""Tables, as text, Markdown and JSON."""

import json

import pytest

from benchmarks.page import between_markers
from benchmarks.report import as_json, as_markdown, as_text
from benchmarks.results import Cell
from benchmarks.tables import number
from tests.benchmarks.measured import results


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (0.01234, "0.0123"), (1.0, "1.00"), (12.34, "12.3"), (123.4, "123"), (21034.4, "21,034")],
)
def test_numbers(value: float, shown: str) -> None:
    assert number(value) == shown


def test_a_table_has_figures_ratios_and_reasons() -> None:
    seen = results("per_second", {"tiny-64": {"ortolan": [90.0, 80.0, 100.0], "echo": [100.0, 100.0, 200.0]}})
    seen.cells["tiny-64"]["mlserver"] = Cell(absent="pip failed")
    seen.cells["tiny-64"]["kserve"] = Cell([{"per_second": 5.0}], void="round 2: a wrong answer")
    text = as_text(seen)
    (row,) = [line for line in text.splitlines() if line.startswith("Ortolan, fast lane")]
    assert row.split()[3:] == ["90.0", "80.0-100", "×0.800"]
    assert "MLServer: not here: pip failed" in text
    assert "KServe's Python server: void: round 2: a wrong answer" in text
    assert "5.00" not in text


def test_figures_are_shown_in_their_unit() -> None:
    text = as_text(results("p99_us", {"tiny-beside-16mb": {"ortolan": [1500.0]}}))
    assert "MEDIAN ms" in text
    assert "1.50-1.50" in text


def test_goals_stand_at_the_end() -> None:
    seen = results("per_second", {"tiny-64": {"ortolan": [90.0], "echo": [100.0]}})
    (goal,) = [line for line in as_text(seen).splitlines() if "0.7 × C++ gRPC echo" in line]
    assert goal.endswith("  met")
    assert "0.900 ×" in goal


def test_markdown_rows_are_as_wide_as_their_head() -> None:
    seen = results("per_second", {"tiny-64": {"ortolan": [90.0], "echo": [100.0]}})
    tables = [block.splitlines() for block in as_markdown(seen, {}).split("\n\n") if block.startswith("|")]
    assert len(tables) == 2
    for lines in tables:
        assert len({line.count("|") for line in lines}) == 1


def test_json_has_all_rounds() -> None:
    seen = results("per_second", {"tiny-64": {"ortolan": [90.0, 80.0]}})
    document = json.loads(json.dumps(as_json(seen)))
    assert document["cases"]["tiny-64"]["servers"]["ortolan"]["rounds"] == [{"per_second": 90.0}, {"per_second": 80.0}]
    assert {goal["met"] for goal in document["goals"]} == {None}


def test_the_page_keeps_what_is_outside_its_markers() -> None:
    page = "before\n<!-- report: begin -->\nold\n<!-- report: end -->\nafter\n"
    once = between_markers(page, "new")
    assert once == "before\n<!-- report: begin -->\nnew\n<!-- report: end -->\nafter\n"
    assert between_markers(once, "new") == once


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="report: end"):
        between_markers("<!-- report: begin -->", "new")
