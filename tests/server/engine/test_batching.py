"""Calls that run together, through the whole engine."""

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pytest
from structlog.testing import capture_logs

from ortolan_backends.errors import DeviceFailure, InvalidInput, OutOfMemory, RunFailed
from ortolan_backends.runtime.session import RunHandle
from ortolan_server.engine.call import Array, InferenceCall, InferenceResult, Ticket
from ortolan_server.engine.engine import BatchLimits, Engine, Serving
from ortolan_server.engine.entry import Entry
from ortolan_server.engine.runs import Runner
from ortolan_server.engine.statistics import Statistics
from ortolan_server.errors import (
    CallCancelled,
    DeadlineExpired,
    InferenceFailed,
    InvalidRequest,
    ModelNotReady,
    Overloaded,
)
from tests.server.engine.batches import BatchRunner, HandPump, answer_of, batch_call
from tests.server.engine.runners import WAIT_S, Replies

MakeEngine = Callable[..., Engine]

EIGHT = BatchLimits(max_rows=8)


@pytest.fixture
def make_engine() -> Iterator[MakeEngine]:
    """Engines that are stopped after the test."""
    engines: list[Engine] = []

    def make(
        runner: Runner,
        batching: BatchLimits | None = EIGHT,
        *,
        statistics: Statistics | None = None,
        may_run_inline: bool = True,
        **options: object,
    ) -> Engine:
        serving = Serving(runner, statistics or Statistics(), may_run_inline)
        settings = {"queue_limit": 64, "concurrency": 1, "name": "test", **options}
        engines.append(Engine(serving, batching=batching, **settings))  # type: ignore[arg-type]
        return engines[-1]

    yield make
    for engine in engines:
        engine.stop()


def submit_all(engine: Engine, calls: Sequence[InferenceCall]) -> list[Replies]:
    replies = [Replies() for _ in calls]
    for call, reply in zip(calls, replies, strict=True):
        engine.submit(call, reply)
    return replies


def check(calls: Sequence[InferenceCall], replies: Sequence[Replies]) -> None:
    for call, reply in zip(calls, replies, strict=True):
        outcome = reply.only()
        assert isinstance(outcome, InferenceResult), repr(outcome)
        assert answer_of(call, outcome)


def test_what_waits_runs_together(make_engine: MakeEngine) -> None:
    runner = BatchRunner()
    engine = make_engine(runner)
    calls = [batch_call(0, 3), batch_call(10, 2), batch_call(20, width=2), batch_call(30, 3), batch_call(40)]
    replies = submit_all(engine, calls)
    engine.start()
    check(calls, replies)
    assert runner.batches == [[0, 1, 2, 10, 11, 30, 31, 32], [20], [40]]


def test_a_model_that_may_not_run_inline_leaves_the_pump_alone(make_engine: MakeEngine) -> None:
    engine = make_engine(BatchRunner(), may_run_inline=False)
    engine.start()
    pump = HandPump()
    for number in range(20):
        reply = Replies()
        ticket = engine.submit(batch_call(number), reply, pump)
        assert not ticket.runs_on_pump
        reply.only()
    assert pump.work == []


def test_a_call_that_is_larger_than_a_batch_runs_alone(make_engine: MakeEngine) -> None:
    runner = BatchRunner()
    engine = make_engine(runner)
    calls = [batch_call(0, 20), batch_call(30)]
    replies = submit_all(engine, calls)
    engine.start()
    check(calls, replies)
    assert [len(rows) for rows in runner.batches] == [20, 1]


def test_calls_without_a_bucket_run_alone(make_engine: MakeEngine) -> None:
    runner = BatchRunner()
    engine = make_engine(runner)
    calls = [batch_call(number) for number in range(3)]
    for call in calls:
        call.bucket = None
    replies = submit_all(engine, calls)
    engine.start()
    check(calls, replies)
    assert runner.batches == [[0], [1], [2]]


def test_a_batch_waits_for_its_delay_and_goes_when_it_is_full(make_engine: MakeEngine) -> None:
    runner = BatchRunner()
    engine = make_engine(runner, BatchLimits(max_rows=2, max_delay_s=WAIT_S))
    engine.start()
    calls = [batch_call(0), batch_call(1)]
    first = submit_all(engine, calls[:1])
    assert runner.batches == []
    check(calls, [*first, *submit_all(engine, calls[1:])])
    assert runner.batches == [[0, 1]]


def test_a_delay_ends(make_engine: MakeEngine) -> None:
    runner = BatchRunner()
    statistics = Statistics()
    engine = make_engine(runner, BatchLimits(max_rows=2, max_delay_s=0.01), statistics=statistics)
    engine.start()
    calls = [batch_call(0)]
    replies = submit_all(engine, calls)
    check(calls, replies)
    assert statistics.snapshot().queue.ns >= 10_000_000


@pytest.mark.parametrize(
    ("error", "answer"), [(RunFailed, InferenceFailed), (InvalidInput, InvalidRequest), (OutOfMemory, Overloaded)]
)
def test_one_bad_call_fails_alone(make_engine: MakeEngine, error: type[Exception], answer: type) -> None:
    runner = BatchRunner(bad=[2], error=error)
    statistics = Statistics()
    engine = make_engine(runner, statistics=statistics)
    calls = [batch_call(number) for number in range(4)]
    replies = submit_all(engine, calls)
    engine.start()
    check([calls[0], calls[1], calls[3]], [replies[0], replies[1], replies[3]])
    outcome = replies[2].only()
    assert isinstance(outcome, answer)
    assert "[2]" in str(outcome)
    assert runner.batches == [[0, 1, 2, 3], [0], [1], [2], [3]]
    assert statistics.snapshot().execution_count == 3
    assert statistics.snapshot().fail.count == 1
    assert engine.drain(WAIT_S)


def test_a_device_that_fails_fails_for_all_and_is_told_once(make_engine: MakeEngine) -> None:
    told: list[DeviceFailure] = []
    runner = BatchRunner(bad=[1], error=DeviceFailure)
    engine = make_engine(runner, on_device_failure=lambda error, _runner: told.append(error))
    replies = submit_all(engine, [batch_call(0), batch_call(1)])
    with capture_logs() as logs:
        engine.start()
        assert [type(reply.only()) for reply in replies] == [ModelNotReady] * 2
    assert len(told) == len(runner.batches) == 1
    assert [line["event"] for line in logs] == ["device_failed"]


class Summing(Runner):
    """Its outputs are not made of its callers' rows."""

    def __init__(self) -> None:
        self.runs = 0

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str], handle: RunHandle) -> list[Array]:
        self.runs += 1
        return [feeds["x"].sum(axis=0, keepdims=True) * 10]


def test_outputs_that_cannot_be_split_end_the_batching(make_engine: MakeEngine) -> None:
    runner, statistics = Summing(), Statistics()
    engine = make_engine(runner, statistics=statistics)
    assert statistics.snapshot().batching
    calls = [batch_call(number) for number in range(12)]
    replies = submit_all(engine, calls)
    with capture_logs() as logs:
        engine.start()
        check(calls, replies)
    assert runner.runs == 1 + 12
    assert not statistics.snapshot().batching
    assert [line["event"] for line in logs] == ["batch_not_splittable"]
    assert logs[0]["reason"] == "output 'y' has shape [1, 1] for 8 rows"


def test_a_caller_that_leaves_a_batch_is_answered_while_the_others_go_on(make_engine: MakeEngine) -> None:
    runner = BatchRunner(held=True)
    engine = make_engine(runner)
    calls = [batch_call(0), batch_call(1), batch_call(2)]
    replies = [Replies() for _ in calls]
    tickets = [engine.submit(call, reply) for call, reply in zip(calls, replies, strict=True)]
    engine.start()
    assert runner.started.get(timeout=WAIT_S) == [0, 1, 2]
    tickets[1].cancel()
    assert isinstance(replies[1].only(), CallCancelled)
    last = tickets[2]
    assert isinstance(last, Entry)
    last.deadline_s = time.monotonic()
    behind = batch_call(3, within_s=WAIT_S)  # which wakes the thread that looks at deadlines
    replies += submit_all(engine, [behind])
    assert isinstance(replies[2].only(), DeadlineExpired)
    assert replies[0].all == []
    runner.go.set()
    check([calls[0], behind], [replies[0], replies[3]])
    assert [len(reply.all) for reply in replies] == [1] * 4


def test_a_batch_is_stopped_when_all_have_left(make_engine: MakeEngine) -> None:
    runner = BatchRunner(held=True)
    engine = make_engine(runner)
    replies = [Replies(), Replies()]
    tickets = [engine.submit(batch_call(number), reply) for number, reply in enumerate(replies)]
    engine.start()
    runner.started.get(timeout=WAIT_S)
    for ticket in tickets:
        ticket.cancel()
    assert [type(reply.only()) for reply in replies] == [CallCancelled] * 2


def test_statistics_count_a_batch_once(make_engine: MakeEngine) -> None:
    statistics = Statistics()
    engine = make_engine(BatchRunner(), statistics=statistics)
    calls = [batch_call(0, 3), batch_call(10, 2), batch_call(20)]
    replies = submit_all(engine, calls)
    engine.start()
    check(calls, replies)
    snapshot = statistics.snapshot()
    assert (snapshot.execution_count, snapshot.inference_count) == (1, 6)
    assert snapshot.queue.count == snapshot.compute_infer.count == 3
    assert [(batch.batch_size, batch.compute_infer.count) for batch in snapshot.batches] == [(6, 1)]
    assert snapshot.compute_infer.ns == pytest.approx(3 * snapshot.stages.run.ns, abs=3)
    assert snapshot.stages.batch.ns > 0
    outcomes = [reply.only() for reply in replies]
    assert {outcome.batch_rows for outcome in outcomes if isinstance(outcome, InferenceResult)} == {6}


class Quick(Runner):
    """A run that takes no time: whatever it is fed."""

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str], handle: RunHandle) -> list[Array]:
        return [np.multiply(feeds["x"], 10) for _ in outputs]


def test_short_runs_are_made_on_the_pump(make_engine: MakeEngine) -> None:
    statistics = Statistics()
    engine = make_engine(Quick(), statistics=statistics)
    engine.start()
    pump = HandPump()
    # Until it has been measured often enough; a busy machine may need more.
    for number in range(1000):
        warming = Replies()
        ticket = engine.submit(batch_call(number), warming, pump)
        if pump.work:
            assert ticket.runs_on_pump
            assert warming.all == []
            pump.run()
            assert len(warming.all) == 1
            break
        warming.only()
    else:
        pytest.fail("it was never taken for short")
    calls = [batch_call(number) for number in range(5)]
    replies = [Replies() for _ in calls]
    tickets = [engine.submit(call, reply, pump) for call, reply in zip(calls, replies, strict=True)]
    if all(ticket.runs_on_pump for ticket in tickets):
        assert len(pump.work) == 1
        pump.run()
        assert statistics.snapshot().inline
        assert statistics.snapshot().batches[-1].batch_size == 5
    pump.run()
    check(calls, replies)
    assert statistics.snapshot().inline_execution_count >= 1


class Asker(Replies):
    """Keeps its ticket, as streams do: the two refer to each other."""

    ticket: Ticket


@pytest.mark.parametrize("on_pump", [True, False])
def test_answered_calls_need_no_garbage_collector(make_engine: MakeEngine, *, on_pump: bool) -> None:
    """All that a call holds, its connection too, would else stay until the collector comes, and hold up the others."""
    engine = make_engine(BatchRunner())
    engine.start()
    pump = HandPump()
    gc.collect()
    gc.disable()
    try:
        held = []
        for round_number in range(20):
            calls = [batch_call(round_number * 4 + number) for number in range(4)]
            held += [weakref.ref(next(iter(call.feeds.values()))) for call in calls]
            replies = [Asker() for _ in calls]
            for call, reply in zip(calls, replies, strict=True):
                reply.ticket = engine.submit(call, reply, pump if on_pump else None)
            pump.run()
            check(calls, replies)
        del call, reply, calls, replies
        assert engine.drain(WAIT_S)
        # A worker lets the last run go when it is about to wait for the next.
        deadline_s = time.monotonic() + WAIT_S
        while any(ref() is not None for ref in held) and time.monotonic() < deadline_s:
            threading.Event().wait(0.001)
        assert [ref for ref in held if ref() is not None] == []
    finally:
        gc.enable()
