"""Reports that are read again."""

import json
from pathlib import Path

import pytest

from benchmarks.merge import OtherMachine, merge, read
from benchmarks.report import as_json, as_text
from tests.benchmarks.measured import results


def test_a_report_comes_back_as_it_was(tmp_path: Path) -> None:
    seen = results("per_second", {"tiny-64": {"ortolan": [90.0, 80.0], "echo": [100.0, 100.0]}})
    seen.cells["tiny-64"]["echo"].void = "round 2: a wrong answer"
    file = tmp_path / "report.json"
    file.write_text(json.dumps(as_json(seen)))
    assert as_text(read(file)) == as_text(seen)


def test_cases_measured_apart_become_one_report() -> None:
    late = results("per_second", {"identity-1mb": {"ortolan": [5.0]}, "tiny-64": {"ortolan": [2.0]}})
    early = results("per_second", {"tiny-64": {"ortolan": [1.0]}, "tiny-8": {"ortolan": [3.0]}})
    merged = merge([early, late])
    assert list(merged.cells) == ["tiny-8", "tiny-64", "identity-1mb"]
    assert merged.cells["tiny-64"]["ortolan"].figures("per_second") == [2.0]


def test_two_machines_make_no_report() -> None:
    other = results("per_second", {})
    other.machine = {**other.machine, "cpu": "another"}
    with pytest.raises(OtherMachine, match="cpu is a cpu in one report and another"):
        merge([results("per_second", {}), other])
