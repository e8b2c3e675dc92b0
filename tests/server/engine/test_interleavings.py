"""Whatever happens to calls and in which order: each gets exactly one reply, and its own answer."""

import threading
from dataclasses import dataclass
from enum import Enum, auto

from hypothesis import given, settings
from hypothesis import strategies as st

from ortolan_backends.errors import RunFailed
from ortolan_server.engine.call import InferenceResult
from ortolan_server.engine.engine import Engine, Serving
from ortolan_server.engine.statistics import Statistics
from ortolan_server.errors import (
    CallCancelled,
    DeadlineExpired,
    InferenceFailed,
    OrtolanError,
    Overloaded,
    ServerStopping,
)
from tests.server.engine.runners import WAIT_S, FakeRunner, Replies, call


class Ending(Enum):
    NOTHING = auto()
    DRAIN = auto()
    STOP = auto()


@dataclass(frozen=True)
class Planned:
    """What happens to one call."""

    within_s: float = float("inf")
    fails: bool = False
    held: bool = False
    cancelled_after: int | None = None
    """How many later calls are submitted before it is cancelled."""


PLANNED = st.builds(
    Planned,
    within_s=st.sampled_from([float("inf"), float("inf"), 30.0, 0.002, 0.0005, -1.0]),
    fails=st.booleans(),
    held=st.booleans(),
    cancelled_after=st.none() | st.integers(0, 3),
)


def allowed(plan: Planned, number: int, outcome: InferenceResult | OrtolanError) -> bool:
    match outcome:
        case InferenceResult():
            return not plan.fails and [int(array) for array in outcome.arrays] == [number * 10]
        case InferenceFailed():
            return plan.fails and str(outcome) == f"call {number}"
        case CallCancelled():
            return plan.cancelled_after is not None
        case DeadlineExpired():
            return plan.within_s < WAIT_S
        case Overloaded() | ServerStopping():
            return True
    return False


@settings(max_examples=150)
@given(
    plans=st.lists(PLANNED, max_size=16),
    queue_limit=st.integers(0, 6),
    concurrency=st.integers(1, 3),
    start_at=st.integers(0, 16),
    ending=st.sampled_from(Ending),
)
def test_exactly_one_reply_and_the_own_answer(
    plans: list[Planned], queue_limit: int, concurrency: int, start_at: int, ending: Ending
) -> None:
    runner = FakeRunner(
        errors={number: RunFailed(f"call {number}") for number, plan in enumerate(plans) if plan.fails},
        held=[number for number, plan in enumerate(plans) if plan.held],
    )
    statistics = Statistics()
    engine = Engine(Serving(runner, statistics), queue_limit=queue_limit, concurrency=concurrency)
    replies = [Replies() for _ in plans]
    tickets = []
    for number, plan in enumerate(plans):
        if number == start_at:
            engine.start()
        tickets.append(engine.submit(call(number, plan.within_s), replies[number]))
        for earlier in range(number + 1):
            if plans[earlier].cancelled_after == number - earlier:
                tickets[earlier].cancel()
        runner.release(*(earlier for earlier in range(number) if plans[earlier].held))
    if start_at >= len(plans):
        engine.start()
    closing = threading.Thread(target={Ending.STOP: engine.stop}.get(ending, lambda: None))
    closing.start()
    runner.release(*(number for number, plan in enumerate(plans) if plan.held))
    if ending is not Ending.NOTHING:
        assert engine.drain(WAIT_S)
    outcomes = [reply.only() for reply in replies]
    closing.join()
    engine.stop()

    assert [len(reply.all) for reply in replies] == [1] * len(plans)
    for number, (plan, outcome) in enumerate(zip(plans, outcomes, strict=True)):
        assert allowed(plan, number, outcome), f"call {number} {plan}: {outcome!r}"
    snapshot = statistics.snapshot()
    assert snapshot.execution_count + snapshot.fail.count == len(plans)
    assert snapshot.execution_count == sum(isinstance(outcome, InferenceResult) for outcome in outcomes)
    if len(plans) <= queue_limit + concurrency:
        assert not any(isinstance(outcome, Overloaded) for outcome in outcomes)
