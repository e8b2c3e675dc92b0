"""What becomes of calls when the session under them fails."""

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from ortolan_backends.errors import DeviceFailure
from ortolan_backends.runtime.session import RunHandle
from ortolan_server.engine.call import Array, InferenceCall, InferenceResult
from ortolan_server.engine.engine import BatchLimits, Engine, Runner, Serving
from ortolan_server.engine.joining import size_bytes
from ortolan_server.engine.statistics import Statistics
from ortolan_server.errors import DeadlineExpired, ModelNotReady
from tests.server.engine.batches import BatchRunner, HandPump, answer_of, batch_call
from tests.server.engine.devices import (
    Hook,
    MakeEngine,
    engines,
    failing,
    submit,
    until_all_are_back,
    until_so_many_wait,
)
from tests.server.engine.runners import WAIT_S, FakeRunner, Replies, call


@pytest.fixture
def make_engine() -> Iterator[MakeEngine]:
    with engines() as make:
        yield make


def test_calls_wait_for_the_next_session_and_go_in_their_order(make_engine: MakeEngine) -> None:
    hook, first, second = Hook(comes=True), failing(1), FakeRunner()
    engine = make_engine(Serving(first, Statistics()), hook)
    replies = submit(engine, 1, 2, 3)
    engine.start()
    hook.wait()
    replies += submit(engine, 4)
    until_so_many_wait(engine, 4)
    engine.serve(Serving(second, Statistics()))
    assert [reply.number() for reply in replies] == [10, 20, 30, 40]
    assert (first.order, second.order) == ([1], [1, 2, 3, 4])
    assert [str(error) for error in hook.told] == ["gone"]
    assert hook.runners == [first]


def test_each_session_counts_its_own_runs(make_engine: MakeEngine) -> None:
    hook, counts = Hook(comes=True), [Statistics(), Statistics()]
    engine = make_engine(Serving(failing(2), counts[0]), hook)
    engine.start()
    (one,) = submit(engine, 1)
    one.only()
    (two,) = submit(engine, 2)
    hook.wait()
    engine.serve(Serving(FakeRunner(), counts[1]))
    two.only()
    assert [each.snapshot().execution_count for each in counts] == [1, 1]
    assert [each.snapshot().fail.count for each in counts] == [0, 0]


def test_the_second_run_that_fails_on_the_same_session_tells_nobody(make_engine: MakeEngine) -> None:
    hook, first = Hook(comes=True), failing(1, 2, held=(1, 2))
    engine = make_engine(Serving(first, Statistics()), hook, concurrency=2)
    engine.start()
    replies = submit(engine, 1, 2)
    assert {first.started.get(timeout=WAIT_S), first.started.get(timeout=WAIT_S)} == {1, 2}
    first.release(1)
    hook.wait()
    engine.serve(Serving(FakeRunner(), Statistics()))
    first.release(2)
    assert [reply.number() for reply in replies] == [10, 20]
    assert len(hook.told) == 1


def test_a_deadline_holds_while_calls_wait_for_a_session(make_engine: MakeEngine) -> None:
    hook = Hook(comes=True)
    engine = make_engine(Serving(failing(1), Statistics()), hook)
    engine.start()
    (patient,) = submit(engine, 1)
    hook.wait()
    late = Replies()
    engine.submit(call(2, within_s=0.05), late)
    assert isinstance(late.only(), DeadlineExpired)
    engine.serve(Serving(FakeRunner(), Statistics()))
    assert patient.number() == 10


def test_without_another_session_all_that_waits_can_be_refused(make_engine: MakeEngine) -> None:
    hook, first = Hook(comes=True), failing(1, held=(1,))
    engine = make_engine(Serving(first, Statistics()), hook)
    engine.start()
    replies = submit(engine, 1, 2)
    first.release(1)
    hook.wait()
    engine.refuse_waiting(ModelNotReady("no rung is left"))
    assert [str(reply.only()) for reply in replies] == ["no rung is left"] * 2
    assert engine.drain(WAIT_S)


@pytest.mark.parametrize("stubborn", [(), (1,)])
def test_what_is_put_back_after_the_refusal_is_not_run_on_the_broken_session(
    make_engine: MakeEngine, stubborn: tuple[int, ...]
) -> None:
    class Refusing(Hook):
        """Finds no rung before the failed run has been put back."""

        def __call__(self, error: DeviceFailure, runner: Runner) -> bool:
            engine.refuse_waiting(ModelNotReady("no rung is left"))
            return super().__call__(error, runner)

    hook, first = Refusing(comes=True), failing(1, stubborn=stubborn)
    serving = Serving(first, Statistics(), may_run_inline=False, hang_after_s=0.05)
    engine = make_engine(serving, hook)
    engine.start()
    (reply,) = submit(engine, 1)
    assert str(reply.only()) == "no rung is left"
    assert first.order == [1]
    first.release(*stubborn)
    until_all_are_back(engine)
    assert len(hook.told) == 1, "how a run ends that was given up tells nobody anything new"


def test_a_batch_is_put_back_whole(make_engine: MakeEngine) -> None:
    hook, first, second = Hook(comes=True), BatchRunner(bad=[1], error=DeviceFailure), BatchRunner()
    engine = make_engine(Serving(first, Statistics()), hook, batching=BatchLimits(max_rows=8))
    calls = [batch_call(number) for number in range(3)]
    replies = [Replies() for _ in calls]
    for each, reply in zip(calls, replies, strict=True):
        engine.submit(each, reply)
    engine.start()
    hook.wait()
    engine.serve(Serving(second, Statistics()))
    for each, reply in zip(calls, replies, strict=True):
        outcome = reply.only()
        assert isinstance(outcome, InferenceResult)
        assert answer_of(each, outcome)
    assert (first.batches, second.batches) == ([[0, 1, 2]], [[0, 1, 2]])


class Scribbler(FakeRunner):
    """Writes where it is told to, and knows on which thread."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[threading.Thread] = []

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str], handle: RunHandle) -> list[Array]:
        self.threads.append(threading.current_thread())
        return super().run(feeds, outputs, handle)

    def run_into(
        self, feeds: Mapping[str, Array], outputs: Sequence[str], into: Sequence[Array], handle: RunHandle
    ) -> list[Array]:
        into[0][...] = self.run(feeds, outputs, handle)[0]
        return list(into)


@pytest.mark.parametrize(("hang_after_s", "written"), [(math.inf, 10), (60.0, 0)])
def test_a_run_that_may_be_abandoned_writes_to_nobodys_memory(
    make_engine: MakeEngine, hang_after_s: float, written: int
) -> None:
    engine = make_engine(Serving(Scribbler(), Statistics(), hang_after_s=hang_after_s), Hook(comes=True))
    engine.start()
    place, reply = np.asarray(0), Replies()
    engine.submit(replace(call(1), into=[place]), reply)
    assert reply.number() == 10
    assert place == written, "one that hung would write there whenever it came back, whoever has the memory by then"


def taught(engine: Engine, *calls: InferenceCall) -> None:
    """Runs of such calls are known to be short."""
    for each in calls * 3:
        engine._schedule._pace.of(size_bytes(each)).record(1e-5)


def test_calls_that_wait_for_a_pump_go_to_workers_when_the_next_session_may_not_run_there(
    make_engine: MakeEngine,
) -> None:
    engine, pump, second = make_engine(Serving(FakeRunner(), Statistics()), Hook(comes=True)), HandPump(), Scribbler()
    taught(engine, call(1))
    replies = [Replies(), Replies()]
    for number, reply in enumerate(replies):
        engine.submit(call(number), reply, pump)
    assert pump.work
    engine.serve(Serving(second, Statistics(), may_run_inline=False))
    engine.start()
    pump.run()
    assert [reply.number() for reply in replies] == [0, 10]
    assert threading.current_thread() not in second.threads


def test_how_long_runs_took_says_nothing_of_the_next_session(make_engine: MakeEngine) -> None:
    engine, pump = make_engine(Serving(FakeRunner(), Statistics()), Hook(comes=True)), HandPump()
    taught(engine, call(1))
    engine.serve(Serving(FakeRunner(), Statistics()))
    engine.start()
    reply = Replies()
    engine.submit(call(1), reply, pump)
    assert pump.work == []
    assert reply.number() == 10
