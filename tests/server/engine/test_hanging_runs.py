"""Runs that take too long: told to stop, reported, and given up when they do not end."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence

import pytest
from structlog.testing import capture_logs

from ortolan_backends.errors import OutOfMemory, RunHung
from ortolan_backends.runtime.session import RunHandle
from ortolan_server.engine import engine as engine_module
from ortolan_server.engine.call import Array, InferenceResult
from ortolan_server.engine.engine import BatchLimits, Serving
from ortolan_server.engine.statistics import Statistics
from ortolan_server.errors import InferenceFailed, ModelNotReady
from tests.server.engine.batches import BatchRunner, batch_call
from tests.server.engine.devices import Hook, MakeEngine, engines, failing, submit, until_all_are_back
from tests.server.engine.runners import WAIT_S, FakeRunner, Replies


@pytest.fixture
def make_engine() -> Iterator[MakeEngine]:
    with engines() as make:
        yield make


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
    until_all_are_back(engine)
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


def test_a_batch_that_fails_by_one_call_when_it_was_told_to_stop(make_engine: MakeEngine) -> None:
    class Late(BatchRunner):
        """A batch fails once it was told to stop, and not because of that."""

        def run(self, feeds: Mapping[str, Array], outputs: Sequence[str], handle: RunHandle) -> list[Array]:
            give_up_s = time.monotonic() + WAIT_S
            while len(feeds["x"]) > 1 and not handle.options.terminate and time.monotonic() < give_up_s:
                threading.Event().wait(0.001)
            return super().run(feeds, outputs, handle)

    serving = Serving(Late(bad=[1]), Statistics(), may_run_inline=False, hang_after_s=0.05)
    engine = make_engine(serving, Hook(comes=False), batching=BatchLimits(max_rows=8))
    replies = [Replies() for _ in range(3)]
    for number, reply in enumerate(replies):
        engine.submit(batch_call(number), reply)
    engine.start()
    outcomes = [reply.only() for reply in replies]
    assert [type(outcome) for outcome in outcomes] == [InferenceResult, InferenceFailed, InferenceResult]
    assert str(outcomes[1]) == "bad rows in [1]"


def test_a_long_run_is_reported_once_where_it_may_be_long(make_engine: MakeEngine) -> None:
    runner = FakeRunner(held=[1])
    engine = make_engine(Serving(runner, Statistics(), report_after_s=0.02), Hook(comes=False))
    with capture_logs() as logs:
        engine.start()
        (reply,) = submit(engine, 1)
        give_up_s = time.monotonic() + WAIT_S
        while not logs:
            assert time.monotonic() < give_up_s, "it was not reported"
            threading.Event().wait(0.001)
        runner.release(1)
        assert reply.number() == 10
    assert [(line["event"], line["stopped"]) for line in logs] == [("run_takes_long", False)]
