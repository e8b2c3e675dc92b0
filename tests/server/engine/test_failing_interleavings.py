"""However often sessions fail, hang and are replaced: each call gets exactly one reply, and its own answer."""

import math
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from queue import SimpleQueue

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ortolan_backends.errors import DeviceFailure
from ortolan_backends.runtime.session import RunHandle
from ortolan_server.engine import watchdog
from ortolan_server.engine.call import Array, InferenceResult
from ortolan_server.engine.engine import BatchLimits, Engine, Runner, Serving
from ortolan_server.engine.statistics import Statistics
from ortolan_server.errors import CallCancelled, DeadlineExpired, InferenceFailed, ModelNotReady, OrtolanError
from tests.server.engine.batches import BatchRunner, HandPump, answer_of, batch_call
from tests.server.engine.runners import WAIT_S, Replies

_SESSIONS = 4


@dataclass(frozen=True)
class Planned:
    """What happens to one call."""

    within_s: float
    bad: bool
    """The model refuses it, on every session."""
    kills: frozenset[int]
    """Sessions that fail when they run it."""
    hangs: frozenset[int]
    """Sessions that hang when they run it, until the test is over."""
    on_pump: bool
    pump_runs: bool
    cancelled_after: int | None
    """How many later calls are submitted before it is cancelled."""


_SOME_SESSIONS = st.just(frozenset[int]()) | st.frozensets(st.integers(0, _SESSIONS - 1))
PLANNED = st.builds(
    Planned,
    within_s=st.sampled_from([math.inf, math.inf, 30.0, 0.005, 0.0005]),
    bad=st.sampled_from([False, False, False, True]),
    kills=_SOME_SESSIONS,
    hangs=st.just(frozenset()) | st.just(frozenset()) | st.frozensets(st.integers(0, _SESSIONS - 1), max_size=1),
    on_pump=st.booleans(),
    pump_runs=st.booleans(),
    cancelled_after=st.none() | st.none() | st.integers(0, 3),
)


class Failing(BatchRunner):
    """Session `number` of some."""

    def __init__(self, number: int, plans: list[Planned], over: threading.Event) -> None:
        super().__init__(bad=[row for row, plan in enumerate(plans) if plan.bad])
        self._killers = {row for row, plan in enumerate(plans) if number in plan.kills}
        self._hanging = {row for row, plan in enumerate(plans) if number in plan.hangs}
        self._over = over
        self._dead = False

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str], handle: RunHandle) -> list[Array]:
        rows = {int(row[0]) for row in feeds["x"]}
        if not self._hanging.isdisjoint(rows):
            self._over.wait(WAIT_S)
        self._dead |= not self._killers.isdisjoint(rows)
        if self._dead:
            raise DeviceFailure("gone")
        return super().run(feeds, outputs, handle)


class Replacing:
    """Puts the next session in the place of one that failed, from a thread of its own, as long as there is one."""

    def __init__(self, sessions: list[Serving]) -> None:
        self.engine: Engine
        self._next = iter(sessions)
        self.first = next(self._next)
        self.refused = False
        self._wanted: SimpleQueue[Serving | None] = SimpleQueue()
        self._told: list[Runner] = []
        self._thread = threading.Thread(target=self._replace)
        self._thread.start()

    def __call__(self, error: DeviceFailure, runner: Runner) -> bool:
        assert self.refused or runner not in self._told, "once for a session"
        self._told.append(runner)
        following = None if self.refused else next(self._next, None)
        self.refused = following is None
        if following is not None:
            self._wanted.put(following)
        return following is not None

    def end(self) -> None:
        self._wanted.put(None)
        self._thread.join()

    def _replace(self) -> None:
        while (serving := self._wanted.get()) is not None:
            self.engine.serve(serving)


def allowed(plan: Planned, replacing: Replacing, outcome: InferenceResult | OrtolanError) -> bool:
    match outcome:
        case InferenceResult():
            return not plan.bad
        case InferenceFailed():
            return plan.bad
        case CallCancelled():
            return plan.cancelled_after is not None
        case DeadlineExpired():
            return plan.within_s < WAIT_S
        case ModelNotReady():
            return replacing.refused
    return False


@pytest.fixture(autouse=True, scope="module")
def soon() -> Iterator[None]:
    """A run that hangs is given up soon."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watchdog, "_GRACE_S", 0.005)
        yield


@settings(max_examples=150)
@given(
    plans=st.lists(PLANNED, max_size=12),
    concurrency=st.integers(1, 3),
    batching=st.none() | st.builds(BatchLimits, st.integers(1, 4), st.sampled_from([0.0, 0.001])),
    inline=st.lists(st.booleans(), min_size=_SESSIONS, max_size=_SESSIONS),
    start_at=st.integers(0, 12),
)
def test_exactly_one_reply_and_the_own_answer(
    plans: list[Planned],
    concurrency: int,
    batching: BatchLimits | None,
    inline: list[bool],
    start_at: int,
) -> None:
    over, pump = threading.Event(), HandPump()
    statistics = [Statistics() for _ in range(_SESSIONS)]
    hangs = any(plan.hangs for plan in plans)
    replacing = Replacing(
        [
            Serving(
                Failing(number, plans, over),
                statistics[number],
                may_run_inline=inline[number] and not hangs,
                hang_after_s=0.005 if hangs else math.inf,
            )
            for number in range(_SESSIONS)
        ]
    )
    engine = replacing.engine = Engine(
        replacing.first, queue_limit=64, concurrency=concurrency, batching=batching, on_device_failure=replacing
    )
    calls = [batch_call(number, within_s=plan.within_s) for number, plan in enumerate(plans)]
    replies = [Replies() for _ in plans]
    tickets = []
    for number, plan in enumerate(plans):
        if number == start_at:
            engine.start()
        tickets.append(engine.submit(calls[number], replies[number], pump if plan.on_pump else None))
        for earlier in range(number + 1):
            if plans[earlier].cancelled_after == number - earlier:
                tickets[earlier].cancel()
        if plan.pump_runs:
            pump.run()
    if start_at >= len(plans):
        engine.start()
    until_s = time.monotonic() + WAIT_S
    while not all(reply.all for reply in replies) and time.monotonic() < until_s:
        pump.run()
        threading.Event().wait(0.0005)
    idle = all(reply.all for reply in replies) and engine.drain(WAIT_S)
    over.set()
    replacing.end()
    engine.stop()
    assert idle, "a call has no answer"
    outcomes = [reply.only() for reply in replies]
    for plan, each, outcome in zip(plans, calls, outcomes, strict=True):
        assert allowed(plan, replacing, outcome), f"{plan}: {outcome!r}"
        assert not isinstance(outcome, InferenceResult) or answer_of(each, outcome)
    answered = sum(isinstance(outcome, InferenceResult) for outcome in outcomes)
    counted = [each.snapshot() for each in statistics]
    assert sum(each.inference_count for each in counted) == answered
    assert sum(each.fail.count for each in counted) == len(plans) - answered
    assert engine.occupancy == (0, 0, 0, 0)
    while engine.lost_threads and time.monotonic() < until_s:  # the engine's end waits for no thread that hangs
        threading.Event().wait(0.0005)
    assert engine.lost_threads == 0
