"""Medians, spread and ratios."""

import math

import pytest

from benchmarks.results import Cell, Spread, ratio_of_rounds, spread
from tests.benchmarks.measured import results


def test_spread() -> None:
    assert spread([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)
    assert spread([]) is None


def test_what_a_round_lacks_is_left_out() -> None:
    assert spread([1.0, math.nan, 3.0]) == Spread(2.0, 1.0, 3.0)


def test_a_ratio_is_taken_within_each_round() -> None:
    # The second minute was slow for both: the ratio of the medians, 100 / 40, would not be what any round saw.
    ours, theirs = [200.0, 20.0, 100.0], [100.0, 10.0, 40.0]
    assert ratio_of_rounds(ours, theirs) == Spread(2.0, 2.0, 2.5)


def test_a_ratio_needs_both_sides() -> None:
    assert ratio_of_rounds([1.0, 2.0], [0.0]) is None
    assert ratio_of_rounds([1.0, 6.0], [0.0, 2.0]) == Spread(3.0, 3.0, 3.0)


@pytest.mark.parametrize(
    ("cell", "counts"),
    [
        (Cell([{"per_second": 1.0}]), True),
        (Cell([{"per_second": 1.0}], void="round 2: a wrong answer"), False),
        (Cell(absent="cannot be installed"), False),
        (Cell(), False),
    ],
)
def test_what_counts(cell: Cell, *, counts: bool) -> None:
    assert cell.counts == counts


def test_voids_are_listed() -> None:
    seen = results("per_second", {"tiny-64": {"ortolan": [1.0], "mlserver": [1.0]}})
    assert seen.voids() == []
    seen.cells["tiny-64"]["mlserver"].void = "round 1: no answer"
    assert seen.voids() == [("tiny-64", "mlserver", "round 1: no answer")]
    assert seen.counting("tiny-64", "mlserver") is None
    assert seen.counting("tiny-64", "ortolan")
    assert seen.counting("convnet-1", "ortolan") is None
