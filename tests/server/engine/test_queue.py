import math
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ortolan_server.engine.queue import BatchLimits, Step, comes_too_late, next_step, overdue


@dataclass(frozen=True)
class Waiting:
    name: str
    deadline_s: float = math.inf
    arrived_s: float = 0.0
    rows: int = 1


A, B, C = Waiting("a", 5.0), Waiting("b"), Waiting("c", 7.0)
FOUR = BatchLimits(max_rows=4)
PATIENT = BatchLimits(max_rows=4, max_delay_s=2.0)


def queue(*arrivals: float, rows: int = 1, deadline_s: float = math.inf) -> list[Waiting]:
    return [Waiting(f"at {arrived_s}", deadline_s, arrived_s, rows) for arrived_s in arrivals]


@pytest.mark.parametrize(
    ("waiting", "now_s", "run", "expired"),
    [
        ([A, B, C], 4.9, [A], []),
        ([A, B, C], 5.0, [B], [A]),
        ([B, A, C], 9.0, [B], []),
        ([A, C, B], 9.0, [B], [A, C]),
        ([A, C], 9.0, [], [A, C]),
    ],
)
def test_without_batching_the_first_call_whose_time_is_not_over_runs(
    waiting: list[Waiting], now_s: float, run: list[Waiting], expired: list[Waiting]
) -> None:
    assert next_step([waiting], None, now_s) == Step(run, expired, math.inf)


def test_nothing_waits() -> None:
    assert next_step([], FOUR, 0.0) == Step([], [], math.inf)


@pytest.mark.parametrize(
    ("rows", "taken"),
    [
        ([1, 1, 1], 3),
        ([1] * 6, 4),
        ([2, 1, 2, 1], 2),
        ([4, 1], 1),
        ([7, 1], 1),
        ([3, 7], 1),
        ([0, 4, 0], 3),
        ([1, 3], 2),
    ],
)
def test_calls_join_in_order_until_one_does_not_fit(rows: list[int], taken: int) -> None:
    waiting = [Waiting(str(number), rows=count) for number, count in enumerate(rows)]
    assert next_step([waiting], FOUR, 0.0).run == waiting[:taken]


def test_the_bucket_whose_first_call_is_the_oldest_goes() -> None:
    late, early = queue(2.0, 3.0), queue(1.0, 9.0)
    assert next_step([late, early], FOUR, 10.0).run == early
    assert next_step([late], FOUR, 10.0).run == late


def test_expired_calls_do_not_count_in_a_batch() -> None:
    waiting = [Waiting("a"), Waiting("b", 5.0, rows=4), Waiting("c")]
    assert next_step([waiting], FOUR, 5.0) == Step([waiting[0], waiting[2]], [waiting[1]], math.inf)


def test_a_batch_waits_for_its_delay_from_the_arrival_of_its_first_call() -> None:
    waiting = queue(10.0, 11.5)
    assert next_step([waiting], PATIENT, 11.9) == Step([], [], 12.0)
    assert next_step([waiting], PATIENT, 12.0).run == waiting


def test_a_full_batch_does_not_wait() -> None:
    assert len(next_step([queue(*[10.0] * 4)], PATIENT, 10.0).run) == 4
    assert len(next_step([queue(10.0, 10.0, rows=3)], PATIENT, 10.0).run) == 1
    assert len(next_step([queue(10.0, rows=5)], PATIENT, 10.0).run) == 1


def test_a_bucket_that_is_due_overtakes_an_older_one_that_waits() -> None:
    older, full = queue(10.0), queue(*[10.5] * 4)
    assert next_step([older, full], PATIENT, 11.0).run == full
    assert next_step([older, full], PATIENT, 12.0).run == older


def test_the_nearest_of_several_delays_is_told() -> None:
    assert next_step([queue(10.0), queue(9.5)], PATIENT, 11.0) == Step([], [], 11.5)


def test_a_deadline_that_comes_close_ends_the_wait() -> None:
    waiting = [*queue(10.0), *queue(10.1, deadline_s=11.0)]
    assert next_step([waiting], PATIENT, 10.5, run_s=0.2).look_again_s == pytest.approx(10.6)
    assert next_step([waiting], PATIENT, 10.61, run_s=0.2).run == waiting
    assert next_step([waiting], PATIENT, 10.5).look_again_s == pytest.approx(10.999)


@pytest.mark.parametrize(("calls", "taken"), [(1, 0), (2, 2), (3, 2), (4, 4), (5, 4), (8, 8), (9, 8), (20, 8)])
def test_a_preferred_size_goes_at_once_and_cuts_a_larger_batch(calls: int, taken: int) -> None:
    limits = BatchLimits(max_rows=9, max_delay_s=2.0, preferred_rows=frozenset({2, 4, 8}))
    assert len(next_step([queue(*[10.0] * calls)], limits, 10.0).run) == taken


def test_without_a_delay_a_size_that_is_not_preferred_goes_too() -> None:
    limits = BatchLimits(max_rows=8, preferred_rows=frozenset({4}))
    assert [len(next_step([queue(*[0.0] * calls)], limits, 0.0).run) for calls in (3, 4, 5)] == [3, 4, 4]


CALLS = st.builds(
    Waiting,
    name=st.uuids().map(str),
    deadline_s=st.sampled_from([math.inf, math.inf, 9.0, 11.0, 12.5]),
    arrived_s=st.floats(5.0, 10.0),
    rows=st.integers(0, 6),
)
LIMITS = st.none() | st.builds(
    BatchLimits,
    max_rows=st.integers(1, 8),
    max_delay_s=st.sampled_from([0.0, 1.0, 3.0]),
    preferred_rows=st.frozensets(st.integers(1, 8), max_size=2),
)


@settings(max_examples=300)
@given(buckets=st.lists(st.lists(CALLS, min_size=1, max_size=8), max_size=4), limits=LIMITS)
def test_whatever_waits(buckets: list[list[Waiting]], limits: BatchLimits | None) -> None:
    now_s = 10.0
    buckets = [sorted(calls, key=lambda call: call.arrived_s) for calls in buckets]
    run, expired, look_again_s = next_step(buckets, limits, now_s)
    assert all(call.deadline_s <= now_s for call in expired)
    assert all(call.deadline_s > now_s for call in run)
    alive = [[call for call in calls if call.deadline_s > now_s] for calls in buckets]
    if run:
        # The first calls of one bucket, in their order.
        assert any(calls[: len(run)] == run for calls in alive)
        assert len(run) == 1 or (limits is not None and sum(call.rows for call in run) <= limits.max_rows)
    else:
        assert limits is None or limits.max_delay_s or not any(alive)
        assert (look_again_s == math.inf) == (not any(alive))
        assert look_again_s > now_s
    # By then there is something to do, if nothing changes.
    if look_again_s < math.inf:
        later = next_step(buckets, limits, look_again_s)
        assert later.run or later.expired


@settings(max_examples=100)
@given(calls=st.lists(CALLS, max_size=12), limits=LIMITS)
def test_a_bucket_is_emptied_in_order_of_arrival(calls: list[Waiting], limits: BatchLimits | None) -> None:
    waiting = sorted(calls, key=lambda call: call.arrived_s)
    ran: list[Waiting] = []
    while waiting:
        step = next_step([waiting], limits, 100.0)
        assert step.run or step.expired
        ran += step.run
        waiting = [call for call in waiting if call not in step.run and call not in step.expired]
    assert all(first.arrived_s <= second.arrived_s for first, second in pairwise(ran))
    assert len(ran) == sum(call.deadline_s == math.inf for call in calls)


@pytest.mark.parametrize(
    ("now_s", "expired", "nearest_s"), [(4.0, [], 5.0), (5.0, [A], 7.0), (6.0, [A], 7.0), (8.0, [A, C], math.inf)]
)
def test_overdue_calls_and_the_next_deadline(now_s: float, expired: list[Waiting], nearest_s: float) -> None:
    assert overdue([B, C, A], now_s) == ([call for call in (B, C, A) if call in expired], nearest_s)


@pytest.mark.parametrize(
    ("left_s", "ahead_s", "late"), [(1.0, 0.5, False), (1.0, 1.3, False), (1.0, 1.5, True), (math.inf, 9.0, False)]
)
def test_what_is_only_a_little_late_is_tried(left_s: float, ahead_s: float, *, late: bool) -> None:
    assert comes_too_late(left_s, ahead_s, run_s=0.1) is late
