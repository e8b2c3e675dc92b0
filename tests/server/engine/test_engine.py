import threading
import time
from collections.abc import Callable, Iterator
from queue import SimpleQueue

import pytest
from structlog.testing import capture_logs

from ortolan_backends.errors import DeviceFailure, InvalidInput, RunCancelled
from ortolan_server.engine.call import InferenceResult
from ortolan_server.engine.engine import Engine, Runner, Serving
from ortolan_server.engine.entry import Entry
from ortolan_server.engine.statistics import Statistics
from ortolan_server.errors import (
    CallCancelled,
    DeadlineExpired,
    InternalError,
    InvalidRequest,
    ModelNotReady,
    OrtolanError,
    Overloaded,
    ServerStopping,
)
from tests.server.engine.runners import WAIT_S, FakeRunner, Replies, call

MakeEngine = Callable[..., Engine]


@pytest.fixture
def make_engine() -> Iterator[MakeEngine]:
    """Engines that are stopped after the test."""
    engines: list[Engine] = []

    def make(
        runner: FakeRunner,
        *,
        queue_limit: int = 8,
        concurrency: int = 1,
        statistics: Statistics | None = None,
        on_device_failure: Callable[[DeviceFailure, Runner], object] | None = None,
    ) -> Engine:
        engine = Engine(
            Serving(runner, statistics or Statistics()),
            queue_limit=queue_limit,
            concurrency=concurrency,
            name="test",
            on_device_failure=on_device_failure,
        )
        engines.append(engine)
        return engine

    yield make
    for engine in engines:
        engine.stop()


def submit(engine: Engine, number: int, within_s: float = float("inf")) -> Replies:
    replies = Replies()
    engine.submit(call(number, within_s), replies)
    return replies


def test_each_call_gets_its_own_answer_in_order_of_arrival(make_engine: MakeEngine) -> None:
    runner = FakeRunner()
    engine = make_engine(runner)
    replies = [submit(engine, number) for number in range(8)]
    engine.start()
    assert [reply.number() for reply in replies] == [number * 10 for number in range(8)]
    assert runner.order == list(range(8))


def test_timings_tell_waiting_from_running(make_engine: MakeEngine) -> None:
    runner = FakeRunner(held=[1])
    statistics = Statistics()
    engine = make_engine(runner, statistics=statistics)
    first, second = submit(engine, 0), submit(engine, 1)
    engine.start()
    first.only()
    assert runner.started.get(timeout=WAIT_S) == 0
    assert runner.started.get(timeout=WAIT_S) == 1
    before = statistics.snapshot().stages
    runner.release(1)
    second.only()
    after = statistics.snapshot().stages
    assert (before.queue.count, before.run.count, after.queue.count, after.run.count) == (1, 1, 2, 2)
    assert before.run.ns > 0
    assert after.queue.ns - before.queue.ns > before.run.ns  # the second waited while the first ran


def test_as_many_run_at_once_as_concurrency_says(make_engine: MakeEngine) -> None:
    runner = FakeRunner(held=range(3))
    engine = make_engine(runner, concurrency=2)
    engine.start()
    replies = [submit(engine, number) for number in range(3)]
    assert {runner.started.get(timeout=WAIT_S), runner.started.get(timeout=WAIT_S)} == {0, 1}
    assert runner.started.empty()
    runner.release(1)
    assert runner.started.get(timeout=WAIT_S) == 2
    runner.release(0, 2)
    assert [reply.number() for reply in replies] == [0, 10, 20]


@pytest.mark.parametrize(("queue_limit", "concurrency"), [(0, 1), (2, 1), (1, 3)])
def test_full_queue_refuses_at_once_and_names_the_key(
    make_engine: MakeEngine, queue_limit: int, concurrency: int
) -> None:
    taken = queue_limit + concurrency
    engine = make_engine(FakeRunner(), queue_limit=queue_limit, concurrency=concurrency)
    replies = [submit(engine, number) for number in range(taken)]
    refused = submit(engine, 99).only()
    assert isinstance(refused, Overloaded)
    assert f"{queue_limit} inferences wait already" in str(refused)
    assert "`queue` in [limits]" in str(refused)
    engine.start()
    assert [reply.number() for reply in replies] == [number * 10 for number in range(taken)]
    assert submit(engine, 7).number() == 70


def test_whoever_gets_a_reply_may_submit_the_next_call_at_once(make_engine: MakeEngine) -> None:
    engine = make_engine(FakeRunner(), queue_limit=0)
    engine.start()
    outcomes: SimpleQueue[InferenceResult | OrtolanError] = SimpleQueue()

    def submit_next(outcome: InferenceResult | OrtolanError) -> None:
        engine.submit(call(2), outcomes.put)
        outcomes.put(outcome)

    engine.submit(call(1), submit_next)
    assert [outcomes.get(timeout=WAIT_S).__class__ for _ in range(2)] == [InferenceResult] * 2


def test_cancelled_call_leaves_the_queue_and_frees_its_place(make_engine: MakeEngine) -> None:
    runner = FakeRunner()
    engine = make_engine(runner, queue_limit=0)
    replies = Replies()
    ticket = engine.submit(call(1), replies)
    ticket.cancel()
    ticket.cancel()
    assert isinstance(replies.only(), CallCancelled)
    second = submit(engine, 2)
    engine.start()
    assert second.number() == 20
    assert runner.order == [2]


def test_cancelled_call_that_runs_is_stopped(make_engine: MakeEngine) -> None:
    runner = FakeRunner(held=[1])
    engine = make_engine(runner)
    engine.start()
    replies = Replies()
    ticket = engine.submit(call(1), replies)
    runner.started.get(timeout=WAIT_S)
    ticket.cancel()
    assert isinstance(replies.only(), CallCancelled)
    assert submit(engine, 2).number() == 20


def test_result_of_a_run_that_could_not_be_stopped_is_answered(make_engine: MakeEngine) -> None:
    runner = FakeRunner(stubborn=[1])
    engine = make_engine(runner)
    engine.start()
    replies = Replies()
    ticket = engine.submit(call(1), replies)
    runner.started.get(timeout=WAIT_S)
    ticket.cancel()
    assert replies.all == []
    runner.release(1)
    assert replies.number() == 10
    ticket.cancel()
    assert len(replies.all) == 1


def test_call_that_comes_too_late_is_not_queued(make_engine: MakeEngine) -> None:
    engine = make_engine(FakeRunner(), queue_limit=0)
    assert isinstance(submit(engine, 1, within_s=-1.0).only(), DeadlineExpired)


def test_deadline_ends_a_waiting_call_while_the_worker_is_busy(make_engine: MakeEngine) -> None:
    runner = FakeRunner(held=[1])
    engine = make_engine(runner)
    engine.start()
    busy = submit(engine, 1)
    runner.started.get(timeout=WAIT_S)
    far, near = submit(engine, 2, within_s=WAIT_S * 2), submit(engine, 3, within_s=0.01)
    assert isinstance(near.only(), DeadlineExpired)
    assert busy.all == far.all == []
    runner.release(1)
    assert (busy.number(), far.number()) == (10, 20)
    assert runner.order == [1, 2]


def test_deadline_stops_a_running_call(make_engine: MakeEngine) -> None:
    runner = FakeRunner(held=[1])
    engine = make_engine(runner)
    engine.start()
    late = submit(engine, 1, within_s=0.01).only()
    assert isinstance(late, DeadlineExpired)
    assert submit(engine, 2).number() == 20


def test_first_cause_stays(make_engine: MakeEngine) -> None:
    runner = FakeRunner(stubborn=[1], errors={1: RunCancelled("terminate flag")})
    engine = make_engine(runner)
    engine.start()
    replies = [Replies(), Replies()]
    first, second = (engine.submit(call(number), reply) for number, reply in enumerate(replies, start=1))
    assert isinstance(first, Entry)
    assert isinstance(second, Entry)
    assert runner.started.get(timeout=WAIT_S) == 1
    first.cancel()
    first.deadline_s = second.deadline_s = time.monotonic()
    third = submit(engine, 3, within_s=WAIT_S)  # which wakes the thread that looks at deadlines
    assert isinstance(replies[1].only(), DeadlineExpired)  # so the deadline in front of it was seen as well
    runner.release(1)
    assert isinstance(replies[0].only(), CallCancelled)
    assert third.number() == 30


def test_worker_outlives_every_failure(make_engine: MakeEngine) -> None:
    runner = FakeRunner(errors={1: InvalidInput("axis 7"), 2: KeyError("secret"), 3: MemoryError()})
    engine = make_engine(runner)
    engine.start()
    with capture_logs() as logs:
        first, second, third = (submit(engine, number).only() for number in (1, 2, 3))
        assert submit(engine, 4).number() == 40
    assert isinstance(first, InvalidRequest)
    assert str(first) == "axis 7"
    assert type(second) is type(third) is InternalError
    assert [(line["event"], line["engine"]) for line in logs] == [("run_failed", "test")] * 2
    assert isinstance(logs[0]["exc_info"], KeyError)


def test_device_failure_tells_the_hook_before_the_caller(make_engine: MakeEngine) -> None:
    told: list[DeviceFailure] = []
    runner = FakeRunner(errors={1: DeviceFailure("CUDA failure 700")})
    engine = make_engine(runner, on_device_failure=lambda error, _runner: told.append(error))
    engine.start()
    with capture_logs() as logs:
        outcome = submit(engine, 1).only()
    assert [str(error) for error in told] == ["CUDA failure 700"]
    assert isinstance(outcome, ModelNotReady)
    assert "CUDA failure 700" in str(outcome)
    assert [line["event"] for line in logs] == ["device_failed"]


def test_hook_that_fails_harms_nobody(make_engine: MakeEngine) -> None:
    def fail(error: DeviceFailure, _runner: Runner) -> None:
        raise KeyError(str(error))

    engine = make_engine(FakeRunner(errors={1: DeviceFailure("gone")}), on_device_failure=fail)
    engine.start()
    with capture_logs() as logs:
        assert isinstance(submit(engine, 1).only(), ModelNotReady)
        assert submit(engine, 2).number() == 20
    assert [line["event"] for line in logs] == ["device_failed", "device_failure_hook_failed"]


def test_reply_that_fails_harms_nobody(make_engine: MakeEngine) -> None:
    engine = make_engine(FakeRunner())

    def fail(outcome: InferenceResult | OrtolanError) -> None:
        raise KeyError(str(outcome))

    with capture_logs() as logs:
        engine.submit(call(1), fail)
        engine.submit(call(1), fail).cancel()
        engine.start()
        assert submit(engine, 2).number() == 20
    assert [line["event"] for line in logs] == ["reply_failed"] * 2
    assert engine.drain(WAIT_S)


def test_drain_answers_what_was_taken_and_takes_nothing_new(make_engine: MakeEngine) -> None:
    runner = FakeRunner(held=[1])
    engine = make_engine(runner)
    engine.start()
    replies = [submit(engine, number) for number in (1, 2)]
    runner.started.get(timeout=WAIT_S)
    assert not engine.drain(0.01)
    with pytest.raises(ServerStopping, match="takes no new inferences"):
        submit(engine, 3)
    runner.release(1)
    assert engine.drain(WAIT_S)
    assert [reply.number() for reply in replies] == [10, 20]


def test_drain_waits_until_replies_have_returned(make_engine: MakeEngine) -> None:
    engine = make_engine(FakeRunner())
    engine.start()
    replying, go_on = threading.Event(), threading.Event()

    def reply(_: InferenceResult | OrtolanError) -> None:
        replying.set()
        go_on.wait(WAIT_S)

    engine.submit(call(1), reply)
    assert replying.wait(WAIT_S)
    assert not engine.drain(0.01)
    go_on.set()
    assert engine.drain(WAIT_S)


def test_idle_engine_drains_at_once(make_engine: MakeEngine) -> None:
    assert make_engine(FakeRunner()).drain(0.0)


def test_stop_ends_what_runs_and_what_waits(make_engine: MakeEngine) -> None:
    runner = FakeRunner(held=[1])
    engine = make_engine(runner)
    engine.start()
    replies = [Replies(), Replies()]
    tickets = [engine.submit(call(number), reply) for number, reply in enumerate(replies, start=1)]
    runner.started.get(timeout=WAIT_S)
    engine.stop()
    engine.stop()
    assert [type(reply.only()) for reply in replies] == [ServerStopping] * 2
    for ticket in tickets:
        ticket.cancel()
    with pytest.raises(ServerStopping, match="takes no new inferences"):
        submit(engine, 3)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("test-")]


def test_stop_from_a_reply(make_engine: MakeEngine) -> None:
    engine = make_engine(FakeRunner())
    engine.start()
    stopped = threading.Event()

    def stop(_: InferenceResult | OrtolanError) -> None:
        engine.stop()
        stopped.set()

    engine.submit(call(1), stop)
    assert stopped.wait(WAIT_S)


def test_stop_gives_up_on_a_run_that_cannot_be_stopped(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ortolan_server.engine.engine._STOP_S", 0.01)
    runner = FakeRunner(stubborn=[1])
    engine = make_engine(runner)
    engine.start()
    replies = submit(engine, 1)
    runner.started.get(timeout=WAIT_S)
    with capture_logs() as logs:
        engine.stop()
    assert [line["event"] for line in logs] == ["engine_stop_timed_out"]
    assert "test-0" in logs[0]["threads"]  # and the one that watches, where it does not end so soon
    runner.release(1)
    assert replies.number() == 10


def test_statistics_are_fed_before_the_reply(make_engine: MakeEngine) -> None:
    statistics = Statistics()
    engine = make_engine(FakeRunner(errors={2: InvalidInput("no")}), queue_limit=1, statistics=statistics)
    replies = [Replies() for _ in range(3)]
    engine.submit(call(1, rows=4), replies[0])
    engine.submit(call(2), replies[1])
    engine.submit(call(3), replies[2])
    assert isinstance(replies[2].only(), Overloaded)
    assert statistics.snapshot().fail.count == 1
    engine.start()
    assert replies[0].number() == 10
    assert isinstance(replies[1].only(), InvalidRequest)
    snapshot = statistics.snapshot()
    # Whoever took the result knows whether it became a response.
    assert (snapshot.success.count, snapshot.fail.count) == (0, 2)
    assert (snapshot.inference_count, snapshot.execution_count) == (4, 1)
    assert [batch.batch_size for batch in snapshot.batches] == [4]
