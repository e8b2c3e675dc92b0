"""Batches under whatever happens to their calls: each gets exactly one reply, and its own answer."""

import math
import time
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from ortolan_backends.errors import RunFailed
from ortolan_server.engine.call import InferenceCall, InferenceResult
from ortolan_server.engine.engine import BatchLimits, Engine, Serving
from ortolan_server.engine.entry import Entry, State
from ortolan_server.engine.statistics import Statistics
from ortolan_server.errors import (
    CallCancelled,
    DeadlineExpired,
    InferenceFailed,
    OrtolanError,
    Overloaded,
    ServerStopping,
)
from tests.server.engine.batches import BatchRunner, HandPump, answer_of, batch_call
from tests.server.engine.runners import WAIT_S, Replies

SPACING = 100
"""Between the first rows of two calls: from a row it is seen whose it is."""


@dataclass(frozen=True)
class Planned:
    """What happens to one call."""

    rows: int
    width: int
    within_s: float
    fails: bool
    on_pump: bool
    pump_runs: bool
    """The pump runs once it has been submitted."""
    cancelled_after: int | None
    """How many later calls are submitted before it is cancelled."""


PLANNED = st.builds(
    Planned,
    rows=st.sampled_from([1, 1, 1, 2, 3, 9]),
    width=st.integers(1, 2),
    within_s=st.sampled_from([math.inf, math.inf, 30.0, 0.002, -1.0]),
    fails=st.sampled_from([False, False, False, True]),
    on_pump=st.booleans(),
    pump_runs=st.booleans(),
    cancelled_after=st.none() | st.integers(0, 3),
)
LIMITS = st.builds(
    BatchLimits,
    max_rows=st.integers(1, 8),
    max_delay_s=st.sampled_from([0.0, 0.0, 0.001]),
    preferred_rows=st.frozensets(st.integers(1, 8), max_size=2),
)


def allowed(plan: Planned, number: int, call: InferenceCall, outcome: InferenceResult | OrtolanError) -> bool:
    match outcome:
        case InferenceResult():
            return not plan.fails and answer_of(call, outcome)
        case InferenceFailed():
            # Alone: in a batch that failed it would be named with others.
            return plan.fails and str(outcome) == f"bad rows in {[number * SPACING + row for row in range(plan.rows)]}"
        case CallCancelled():
            return plan.cancelled_after is not None
        case DeadlineExpired():
            return plan.within_s < WAIT_S
        case Overloaded() | ServerStopping():
            return True
    return False


def warmed(engine: Engine) -> Engine:
    """As if calls of each size had been measured, and were short."""
    for size_bytes in range(256):
        engine._schedule._pace.of(size_bytes).record(1e-5)
    return engine


def replied(replies: list[Replies], pump: HandPump) -> None:
    """Turns the pump until everybody has an answer."""
    give_up_s = time.monotonic() + WAIT_S
    while not all(reply.all for reply in replies) and time.monotonic() < give_up_s:
        pump.run()
        time.sleep(0)


@settings(max_examples=200)
@given(
    plans=st.lists(PLANNED, max_size=20),
    limits=LIMITS,
    queue_limit=st.integers(1, 30),
    concurrency=st.integers(1, 3),
    start_at=st.integers(0, 20),
    stops=st.booleans(),
)
def test_exactly_one_reply_and_the_own_answer(  # noqa: PLR0913
    plans: list[Planned], limits: BatchLimits, queue_limit: int, concurrency: int, start_at: int, *, stops: bool
) -> None:
    runner = BatchRunner(bad=[number * SPACING for number, plan in enumerate(plans) if plan.fails], error=RunFailed)
    statistics, pump = Statistics(), HandPump()
    engine = warmed(
        Engine(Serving(runner, statistics), batching=limits, queue_limit=queue_limit, concurrency=concurrency)
    )
    calls = [
        batch_call(number * SPACING, plan.rows, width=plan.width, within_s=plan.within_s)
        for number, plan in enumerate(plans)
    ]
    replies = [Replies() for _ in plans]
    tickets: list[Entry] = []
    for number, plan in enumerate(plans):
        if number == start_at:
            engine.start()
        ticket = engine.submit(calls[number], replies[number], pump if plan.on_pump else None)
        assert isinstance(ticket, Entry)
        tickets.append(ticket)
        for earlier in range(number + 1):
            if plans[earlier].cancelled_after == number - earlier:
                tickets[earlier].cancel()
        promised = [ticket for ticket in tickets if ticket.runs_on_pump]
        if plan.pump_runs:
            pump.run()
            # What was promised has been kept: nothing of it waits any more. Those whose time was over were ended by the
            # watching thread, which answers them a moment later.
            assert [ticket for ticket in promised if ticket.state is not State.ENDED] == []
    if start_at >= len(plans):
        engine.start()
    if stops:
        engine.stop()
    replied(replies, pump)
    outcomes = [reply.only() for reply in replies]
    assert engine.drain(WAIT_S)
    engine.stop()
    pump.run()

    assert [len(reply.all) for reply in replies] == [1] * len(plans)
    for number, (plan, call, outcome) in enumerate(zip(plans, calls, outcomes, strict=True)):
        assert allowed(plan, number, call, outcome), f"call {number} {plan}: {outcome!r}"
    for batch in runner.batches:
        callers = {row // SPACING for row in batch}
        assert len({plans[caller].width for caller in callers}) == 1
        assert len(callers) == 1 or len(batch) <= limits.max_rows
    assert runner.most_at_once <= concurrency
    snapshot = statistics.snapshot()
    results = [outcome for outcome in outcomes if isinstance(outcome, InferenceResult)]
    assert snapshot.queue.count == len(results)
    assert snapshot.queue.count + snapshot.fail.count == len(plans)
