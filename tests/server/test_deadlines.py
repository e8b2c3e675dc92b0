"""Callers that leave at their deadline, and those that leave before it."""

import math

import pytest

from ortolan_server.deadlines import ran_out


@pytest.mark.parametrize(
    ("left_s", "whole_s", "late"),
    [
        (0.0, 0.2, True),
        (-3.0, 0.2, True),
        (0.02, 0.2, True),
        (0.1, 0.2, False),
        (0.3, 30.0, True),
        (1.0, 30.0, False),
        (math.inf, math.inf, False),
    ],
)
def test_who_leaves_within_the_rounding_of_a_deadline_has_met_it(left_s: float, whole_s: float, *, late: bool) -> None:
    assert ran_out(left_s, whole_s) is late
