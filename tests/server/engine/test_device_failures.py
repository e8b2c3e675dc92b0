"""What becomes of calls when the session under them fails, hangs, or has too little memory."""

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from structlog.testing import capture_logs

from ortolan_backends.errors import DeviceFailure, OutOfMemory, RunHung
from ortolan_backends.runtime.session import RunHandle
from ortolan_server.engine import engine as engine_module
from ortolan_server.engine.call import Array, InferenceCall, InferenceResult
from ortolan_server.engine.engine import BatchLimits, Engine, Runner, Serving
from ortolan_server.engine.joining import size_bytes
from ortolan_server.engine.statistics import Statistics
from ortolan_server.errors import DeadlineExpired, InferenceFailed, ModelNotReady, Overloaded
from tests.server.engine.batches import BatchRunner, HandPump, answer_of, batch_call
from tests.server.engine.runners import WAIT_S, FakeRunner, Replies, call

MakeEngine = Callable[..., Engine]


class Hook:
    """Hears of failures, and says whether another session will come."""

    def __init__(self, *, comes: bool) -> None:
        self.told: list[DeviceFailure] = []
        self.runners: list[Runner] = []
        self.heard = threading.Event()
        self._comes = comes

    def __call__(self, error: DeviceFailure, runner: Runner) -> bool:
        self.told.append(error)
        self.runners.append(runner)
        self.heard.set()
        return self._comes

    def wait(self) -> None:
        assert self.heard.wait(WAIT_S), "nobody was told"


@pytest.fixture
def make_engine() -> Iterator[MakeEngine]:
    """Engines that are started here and stopped after the test."""
    engines: list[Engine] = []

    def make(
        serving: Serving,
        hook: Callable[[DeviceFailure, Runner], object],
        *,
        concurrency: int = 1,
        batching: BatchLimits | None = None,
    ) -> Engine:
        engine = Engine(
            serving, queue_limit=64, concurrency=concurrency, batching=batching, name="test", on_device_failure=hook
        )
        engines.append(engine)
        return engine

    yield make
    for engine in engines:
        engine.stop()


def failing(*numbers: int, held: tuple[int, ...] = (), stubborn: tuple[int, ...] = ()) -> FakeRunner:
    return FakeRunner({number: DeviceFailure("gone") for number in numbers}, held, stubborn)


def submit(engine: Engine, *numbers: int) -> list[Replies]:
    replies = [Replies() for _ in numbers]
    for number, reply in zip(numbers, replies, strict=True):
        engine.submit(call(number), reply)
    return replies


def test_calls_wait_for_the_next_session_and_go_in_their_order(make_engine: MakeEngine) -> None:
    hook, first, second = Hook(comes=True), failing(1), FakeRunner()
    engine = make_engine(Serving(first, Statistics()), hook)
    replies = submit(engine, 1, 2, 3)
    engine.start()
    hook.wait()
    replies += submit(engine, 4)
    assert engine.occupancy.waiting_calls == 4
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
    while engine.lost_threads:
        threading.Event().wait(0.001)
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


def test_a_run_that_hangs_is_abandoned_and_made_again(make_engine: MakeEngine) -> None:
    hook, first = Hook(comes=True), failing(stubborn=(1,))
    engine = make_engine(Serving(first, Statistics(), may_run_inline=False, hang_after_s=0.05), hook)
    engine.start()
    replies = submit(engine, 1, 2)
    hook.wait()
    (error,) = hook.told
    assert isinstance(error, RunHung)
    assert "has not ended in" in str(error)
    engine.serve(Serving(FakeRunner(), Statistics()))
    assert [reply.number() for reply in replies] == [10, 20]
    assert engine.lost_threads == 1
    first.release(1)  # what it gives now counts no more
    while engine.lost_threads:
        threading.Event().wait(0.001)
    assert [reply.number() for reply in replies] == [10, 20]
    assert engine.drain(WAIT_S)


def test_a_run_has_its_time_to_stop_though_it_was_told_late(make_engine: MakeEngine) -> None:
    hook, first = Hook(comes=False), failing(stubborn=(1,))
    engine = make_engine(Serving(first, Statistics(), may_run_inline=False, hang_after_s=3600.0), hook)
    engine.start()
    (reply,) = submit(engine, 1)
    first.started.get(timeout=WAIT_S)
    late_s = time.monotonic() + 7200.0
    for after_s in (0.0, 0.9):
        engine._watchdog.look(late_s + after_s)
        assert hook.told == []
    engine._watchdog.look(late_s + 1.0)
    assert isinstance(reply.only(), ModelNotReady)
    first.release(1)


def test_a_run_that_hangs_is_not_waited_for_at_the_end(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "_STOP_S", 2 * WAIT_S)
    hook, first = Hook(comes=False), failing(stubborn=(1,))
    engine = make_engine(Serving(first, Statistics(), hang_after_s=0.05), hook)
    engine.start()
    (reply,) = submit(engine, 1)
    assert isinstance(reply.only(), ModelNotReady)
    began_s = time.monotonic()
    engine.stop()
    assert time.monotonic() - began_s < WAIT_S, "half of what other threads are given"
    first.release(1)


def test_a_hung_call_of_a_batch_that_is_run_one_by_one(make_engine: MakeEngine) -> None:
    class Runner(FakeRunner):
        """Takes no two calls at once, and hangs on the second."""

        def run(self, feeds, outputs, handle):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            if feeds["x"].size > 1:
                raise OutOfMemory("too large")
            return super().run({"x": feeds["x"].reshape(())}, outputs, handle)

    hook, first, second = Hook(comes=True), Runner(stubborn=(2,)), BatchRunner()
    serving = Serving(first, Statistics(), may_run_inline=False, hang_after_s=0.5)
    engine = make_engine(serving, hook, batching=BatchLimits(max_rows=8))
    calls = [batch_call(number) for number in (1, 2, 3)]
    replies = [Replies() for _ in calls]
    for each, reply in zip(calls, replies, strict=True):
        engine.submit(each, reply)
    engine.start()
    hook.wait()
    engine.serve(Serving(second, Statistics()))
    assert all(isinstance(reply.only(), InferenceResult) for reply in replies)
    assert sorted(row for batch in second.batches for row in batch) == [2, 3]
    first.release(2)


def test_a_run_that_is_only_long_ends_when_it_is_told_to(make_engine: MakeEngine) -> None:
    hook = Hook(comes=True)
    engine = make_engine(Serving(failing(held=(1,)), Statistics(), may_run_inline=False, hang_after_s=0.05), hook)
    engine.start()
    (reply,) = submit(engine, 1)
    outcome = reply.only()
    assert isinstance(outcome, InferenceFailed)
    assert "`hang_after_s` in [failover]" in str(outcome)
    assert hook.told == []


def test_a_long_run_is_reported_once_where_it_may_be_long(make_engine: MakeEngine) -> None:
    runner = FakeRunner(held=[1])
    engine = make_engine(Serving(runner, Statistics(), report_after_s=0.02), Hook(comes=False))
    with capture_logs() as logs:
        engine.start()
        (reply,) = submit(engine, 1)
        while not logs:
            threading.Event().wait(0.001)
        runner.release(1)
        assert reply.number() == 10
    assert [(line["event"], line["stopped"]) for line in logs] == [("run_takes_long", False)]


def test_batches_shrink_when_there_is_no_memory_and_grow_again(make_engine: MakeEngine) -> None:
    class Runner(BatchRunner):
        """Has memory for so many rows."""

        most = 3

        def run(self, feeds, outputs, handle):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            if len(feeds["x"]) > self.most:
                raise OutOfMemory("no memory")
            return super().run(feeds, outputs, handle)

    runner = Runner()
    engine = make_engine(Serving(runner, Statistics()), Hook(comes=False), batching=BatchLimits(max_rows=8))

    def run(count: int) -> None:
        replies = [Replies() for _ in range(count)]
        for number, reply in enumerate(replies):
            engine.submit(batch_call(number), reply)
        for reply in replies:
            assert isinstance(reply.only(), InferenceResult)

    replies = [Replies() for _ in range(16)]
    for number, reply in enumerate(replies):
        engine.submit(batch_call(number), reply)
    engine.start()
    assert all(isinstance(reply.only(), InferenceResult) for reply in replies)
    assert engine._schedule.batching == BatchLimits(max_rows=2)
    runner.most = 8
    for _ in range(210):
        run(1)
    assert engine._schedule.batching == BatchLimits(max_rows=8)


def test_one_call_without_memory_is_told_so(make_engine: MakeEngine) -> None:
    engine = make_engine(Serving(FakeRunner({1: OutOfMemory("arena")}), Statistics()), Hook(comes=True))
    engine.start()
    (reply,) = submit(engine, 1)
    assert isinstance(reply.only(), Overloaded)


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


def test_preferred_sizes_that_are_too_large_now_are_left_out() -> None:
    limits = BatchLimits(max_rows=16, preferred_rows=frozenset({4, 16}))
    assert limits.at_most(8) == BatchLimits(max_rows=8, preferred_rows=frozenset({4}))
    assert limits.at_most(32) == replace(limits)
