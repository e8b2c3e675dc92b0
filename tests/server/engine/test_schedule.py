"""Who runs what and when, by the hand that moves the time."""

import math
from collections.abc import Callable, Hashable

import numpy as np
import pytest

from ortolan_server.engine.call import InferenceCall
from ortolan_server.engine.entry import Batch, Entry, State
from ortolan_server.engine.queue import BatchLimits
from ortolan_server.engine.schedule import Schedule, Wake
from ortolan_server.errors import CallCancelled, DeadlineExpired, OrtolanError, Overloaded

CANCELLED = CallCancelled("left")


class Pump:
    def put(self, work: Callable[[], None]) -> None:
        raise AssertionError("putting is for the engine")


PUMP = Pump()


def schedule(
    *, queue_limit: int = 8, queue_bytes: float = math.inf, concurrency: int = 1, batching: BatchLimits | None = None
) -> Schedule:
    return Schedule(queue_limit=queue_limit, queue_bytes=queue_bytes, concurrency=concurrency, batching=batching)


def entry(
    now_s: float = 0.0,
    *,
    deadline_s: float = math.inf,
    rows: int = 1,
    size_bytes: int = 48,
    bucket: Hashable = "x",
) -> Entry:
    call = InferenceCall({"x": np.zeros((rows, 1))}, ("y",), deadline_s, rows, bucket=bucket)
    made = Entry(call, lambda _: None, now_s, lambda _: None)
    made.size_bytes = size_bytes
    return made


def add(schedule: Schedule, made: Entry, pump: Pump | None = None) -> Wake:
    assert schedule.refusal(made, made.arrived_s) is None
    return schedule.add(made, pump)


def measured(schedule: Schedule, run_s: float, *, size_bytes: int = 48) -> None:
    """After some runs that took so long."""
    for _ in range(10):
        add(schedule, entry(size_bytes=size_bytes))
        schedule.end(work(schedule), run_s)


def work(schedule: Schedule, now_s: float = 0.0) -> Batch:
    batch = schedule.take(schedule.step_of_worker(now_s), worker=True)
    assert batch is not None
    return batch


def pump(schedule: Schedule, now_s: float = 0.0) -> Batch | None:
    return schedule.take(schedule.step_of_pump(now_s, now_s), worker=False)


# The pump.


def test_first_runs_go_to_workers() -> None:
    made = schedule()
    assert add(made, entry(), PUMP) is Wake.WORKER
    assert work(made).holds_slot


def test_short_runs_go_to_the_pump_which_is_told_once() -> None:
    made = schedule(batching=BatchLimits(max_rows=8))
    measured(made, 1e-5)
    calls = [entry() for _ in range(3)]
    assert [add(made, call, PUMP) for call in calls] == [Wake.PUMP, Wake.NOBODY, Wake.NOBODY]
    assert all(call.runs_on_pump for call in calls)
    assert not made.step_of_worker(0.0).run
    assert made.begin_pump()
    batch = pump(made)
    assert batch is not None
    assert batch.entries == calls
    assert not made.step_of_worker(0.0).run
    made.end(batch, 1e-5)
    assert pump(made) is None
    assert add(made, entry(), PUMP) is Wake.PUMP


def test_long_runs_large_calls_and_callers_without_a_pump_go_to_workers() -> None:
    made = schedule()
    measured(made, 1e-5)
    measured(made, 1e-2, size_bytes=1 << 20)
    for call, its_pump in [(entry(size_bytes=1 << 20), PUMP), (entry(size_bytes=1 << 10), PUMP), (entry(), None)]:
        assert add(made, call, its_pump) is Wake.WORKER
        assert not call.runs_on_pump
        made.end(work(made), None)


def test_a_turn_of_the_pump_is_no_longer_than_others_can_wait() -> None:
    made = schedule(queue_limit=99)
    measured(made, 2.5e-4)
    calls = [entry() for _ in range(40)]
    for call in calls:
        add(made, call, PUMP)
    assert 8 <= sum(call.runs_on_pump for call in calls) <= 16
    assert made.begin_pump()
    while batch := pump(made):
        made.end(batch, 2.5e-4)
    assert len(work(made).entries) == 1


def test_a_wait_for_more_calls_is_for_workers() -> None:
    made = schedule(batching=BatchLimits(max_rows=4, max_delay_s=1.0))
    for _ in range(10):
        add(made, entry())
        made.end(work(made, 1.0), 1e-5)
    assert add(made, entry(5.0), PUMP) is Wake.WORKER
    assert add(made, entry(5.1), PUMP) is Wake.NOBODY
    assert made.step_of_worker(5.5).look_again_s == 6.0
    assert add(made, entry(5.6, deadline_s=6.0), PUMP) is Wake.WORKER
    assert add(made, entry(5.7), PUMP) is Wake.WORKER
    assert len(work(made, 5.7).entries) == 4


def test_the_pump_leaves_its_calls_to_workers_that_make_all_the_runs() -> None:
    made = schedule()
    measured(made, 1e-5)
    add(made, entry(size_bytes=1 << 20))
    large = work(made)
    small = entry()
    assert add(made, small, PUMP) is Wake.PUMP
    assert not small.runs_on_pump
    assert not made.begin_pump()
    made.end(large, 1.0)
    assert work(made).entries == [small]


def test_a_worker_that_gets_free_leaves_them_to_a_pump_that_is_about_to_run() -> None:
    made = schedule()
    measured(made, 1e-5)
    add(made, entry(size_bytes=1 << 20))
    large = work(made)
    add(made, entry(), PUMP)
    made.end(large, 1.0)
    assert not made.step_of_worker(0.0).run
    assert made.begin_pump()
    assert pump(made) is not None


def test_calls_for_workers_do_not_starve_behind_those_for_the_pump() -> None:
    made = schedule()
    measured(made, 1e-5)
    promised, large, later = entry(0.0), entry(1.0, size_bytes=1 << 20), entry(2.0)
    add(made, promised, PUMP)
    add(made, large, PUMP)
    add(made, later, PUMP)
    assert (promised.runs_on_pump, large.runs_on_pump) == (True, False)
    assert not made.step_of_worker(2.0).run  # the only run at once is the pump's
    assert made.begin_pump()
    while batch := pump(made, 2.0):
        made.end(batch, 1e-5)
    assert work(made, 2.0).entries == [large]
    after = entry(3.0)
    assert add(made, after, PUMP) is Wake.PUMP
    assert not after.runs_on_pump


def test_with_two_runs_at_once_a_worker_takes_what_is_not_the_pump_s() -> None:
    made = schedule(concurrency=2)
    measured(made, 1e-5)
    small, large = entry(0.0), entry(1.0, size_bytes=1 << 20)
    add(made, small, PUMP)
    add(made, large)
    assert work(made, 1.0).entries == [large]
    assert not made.step_of_worker(1.0).run
    assert made.begin_pump()
    batch = pump(made, 1.0)
    assert batch is not None
    assert batch.entries == [small]


def test_calls_that_come_during_the_turn_of_the_pump_wait_for_its_next() -> None:
    made = schedule()
    measured(made, 1e-5)
    add(made, entry(1.0), PUMP)
    assert made.begin_pump()
    batch = pump(made, 2.0)
    assert batch is not None
    assert add(made, entry(3.0), PUMP) is Wake.PUMP
    made.end(batch, 1e-5)
    assert pump(made, 2.0) is None
    assert made.has_waiting


# Admission.


def test_bytes_that_wait_are_bounded() -> None:
    made = schedule(queue_bytes=1000)
    add(made, entry(size_bytes=5000))  # one of any size
    refusal = made.refusal(entry(size_bytes=1), 0.0)
    assert isinstance(refusal, Overloaded)
    assert "have 5000 bytes, and this one has 1 " in str(refusal)
    assert "`queue_size` in [limits]" in str(refusal)
    made.end(work(made), None)
    add(made, entry(size_bytes=600))
    add(made, entry(size_bytes=400))
    assert isinstance(made.refusal(entry(size_bytes=1), 0.0), Overloaded)


def test_work_that_cannot_finish_in_time_is_refused() -> None:
    made = schedule(queue_limit=99)
    measured(made, 1.0)
    for _ in range(4):
        add(made, entry())
    refusal = made.refusal(entry(deadline_s=3.0), 0.0)
    assert isinstance(refusal, DeadlineExpired)
    assert str(refusal) == (
        "refused at once: the deadline is in 3 s, and this inference would end in about 5 s, behind 4 others"
    )
    assert made.refusal(entry(deadline_s=3.5), 0.0) is None
    assert made.refusal(entry(deadline_s=0.5, size_bytes=1 << 20), 0.0) is None  # of its size nothing is known


def test_a_batch_counts_once() -> None:
    made = schedule(queue_limit=99, batching=BatchLimits(max_rows=8))
    measured(made, 1.0)
    for _ in range(16):
        add(made, entry())
    assert isinstance(made.refusal(entry(deadline_s=1.9), 0.0), DeadlineExpired)
    assert made.refusal(entry(deadline_s=2.1), 0.0) is None


def test_what_would_run_at_once_is_tried() -> None:
    made = schedule()
    measured(made, 1.0)
    assert made.refusal(entry(deadline_s=0.01), 0.0) is None


# Leaving.


@pytest.mark.parametrize(("now_s", "cause"), [(5.0, CallCancelled), (9.95, DeadlineExpired), (10.1, DeadlineExpired)])
def test_a_caller_that_leaves_at_its_deadline_has_met_it(now_s: float, cause: type[OrtolanError]) -> None:
    made, waits = schedule(), entry(deadline_s=10.0)
    add(made, waits)
    assert type(made.cancel(waits, now_s)) is cause
    assert made.cancel(waits, now_s) is None


def test_a_run_is_stopped_when_its_last_caller_leaves() -> None:
    made = schedule(batching=BatchLimits(max_rows=8))
    calls = [entry() for _ in range(3)]
    for call in calls:
        add(made, call)
    batch = work(made)
    assert made.leave(calls[1], CANCELLED)
    assert not made.leave(calls[1], CANCELLED)
    assert made.leave(calls[0], CANCELLED)
    assert not batch.handle.options.terminate
    assert not made.leave(calls[2], CANCELLED)  # its answer comes when the run ends
    assert batch.handle.options.terminate
    assert made.end(batch, None) == [calls[2]]
    assert [call.state for call in calls] == [State.ENDED] * 3


def test_overdue_calls_of_a_run_leave_it() -> None:
    made = schedule(batching=BatchLimits(max_rows=8))
    calls = [entry(deadline_s=deadline_s) for deadline_s in (1.0, 3.0)]
    for call in calls:
        add(made, call)
    add(made, entry(deadline_s=2.0, bucket="other"))
    batch = work(made)
    gone, nearest_s = made.end_overdue(1.0)
    assert ([call for call, _ in gone], nearest_s) == ([calls[0]], 2.0)
    gone, nearest_s = made.end_overdue(2.5)
    assert (len(gone), nearest_s) == (1, 3.0)
    assert made.end_overdue(3.0) == ([], math.inf)
    assert batch.handle.options.terminate


def test_after_a_failure_each_call_of_a_batch_runs_alone_while_somebody_waits_for_it() -> None:
    made = schedule(batching=BatchLimits(max_rows=8))
    calls = [entry(deadline_s=deadline_s) for deadline_s in (9.0, 9.0, 2.0, 9.0)]
    for call in calls:
        add(made, call)
    batch = work(made)
    alone = made.take_alone(calls[0], 1.0, batch)
    assert isinstance(alone, Batch)
    assert made.leave(calls[1], CANCELLED)
    assert not made.leave(calls[0], CANCELLED)
    assert alone.handle.options.terminate
    assert made.end(alone, None) == [calls[0]]
    assert made.take_alone(calls[1], 2.0, batch) is None
    assert isinstance(made.take_alone(calls[2], 2.0, batch), DeadlineExpired)
    last = made.take_alone(calls[3], 2.0, batch)
    assert isinstance(last, Batch)
    assert made.end(last, 0.1) == [calls[3]]
    assert made.end(batch, None) == []
    assert not made.running


@pytest.mark.parametrize("batching", [None, BatchLimits(max_rows=4)])
def test_nothing_is_left_when_all_have_gone(batching: BatchLimits | None) -> None:
    made = schedule(batching=batching)
    calls = [entry(bucket=number % 3) for number in range(6)]
    for call in calls:
        add(made, call)
    for call in calls[:3]:
        made.leave(call, CANCELLED)
    assert made.stop(CANCELLED) == calls[3:]
    assert not made.has_waiting
    assert not made.step_of_worker(0.0).run
