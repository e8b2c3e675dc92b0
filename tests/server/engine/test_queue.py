import math
from dataclasses import dataclass

import pytest

from ortolan_server.engine.queue import Step, next_step, overdue


@dataclass(frozen=True)
class Waiting:
    name: str
    deadline_s: float = math.inf


A, B, C = Waiting("a", 5.0), Waiting("b"), Waiting("c", 7.0)


@pytest.mark.parametrize(
    ("waiting", "now_s", "step"),
    [
        ([], 0.0, Step(None, ())),
        ([A, B, C], 4.9, Step(A, ())),
        ([A, B, C], 5.0, Step(B, (A,))),
        ([B, A, C], 9.0, Step(B, ())),
        ([A, C, B], 9.0, Step(B, (A, C))),
        ([A, C], 9.0, Step(None, (A, C))),
    ],
)
def test_first_call_whose_time_is_not_over_runs(waiting: list[Waiting], now_s: float, step: Step[Waiting]) -> None:
    assert next_step(waiting, now_s) == step


@pytest.mark.parametrize(
    ("now_s", "expired", "nearest_s"), [(4.0, [], 5.0), (5.0, [A], 7.0), (6.0, [A], 7.0), (8.0, [A, C], math.inf)]
)
def test_overdue_calls_and_the_next_deadline(now_s: float, expired: list[Waiting], nearest_s: float) -> None:
    assert overdue([B, C, A], now_s) == ([call for call in (B, C, A) if call in expired], nearest_s)
