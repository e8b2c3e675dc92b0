"""A session that serves no more is gone at once: the next may need its memory."""

import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence

import pytest

from ortolan_backends.errors import DeviceFailure, OutOfMemory
from ortolan_backends.runtime.session import RunHandle
from ortolan_server.engine.call import Array
from ortolan_server.engine.engine import BatchLimits, Engine, Runner, Serving
from ortolan_server.engine.statistics import Statistics
from ortolan_server.errors import ModelNotReady
from tests.server.engine.batches import BatchRunner, batch_call
from tests.server.engine.runners import WAIT_S, FakeRunner, Replies, call

pytestmark = pytest.mark.usefixtures("no_collector")


class Broken(Runner):
    """On a device that has failed."""

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str], handle: RunHandle) -> list[Array]:
        raise DeviceFailure("gone")


class Made:
    """An engine on a session that nobody else has."""

    def __init__(self, runner: type[Runner]) -> None:
        session = runner()
        self.gone = threading.Event()
        weakref.finalize(session, self.gone.set)
        self.engine = Engine(
            Serving(session, Statistics()),
            queue_limit=64,
            concurrency=1,
            on_device_failure=lambda _error, _runner: True,
        )
        self.engine.start()

    def submit(self, number: int) -> Replies:
        replies = Replies()
        self.engine.submit(call(number), replies)
        return replies


@pytest.fixture(params=[FakeRunner])
def made(request: pytest.FixtureRequest) -> Iterator[Made]:
    made = Made(request.param)
    yield made
    made.engine.stop()


def test_without_another_and_what_comes_is_refused(made: Made) -> None:
    assert made.submit(1).number() == 10
    made.engine.refuse_waiting(ModelNotReady("no rung is left"))
    assert str(made.submit(2).only()) == "no rung is left"
    assert made.gone.wait(WAIT_S)


@pytest.mark.parametrize("made", [Broken], indirect=True)
def test_before_another_comes(made: Made) -> None:
    reply = made.submit(1)
    assert made.gone.wait(WAIT_S)
    made.engine.serve(Serving(FakeRunner(), Statistics()))
    assert reply.number() == 10


def test_at_the_end(made: Made) -> None:
    assert made.submit(1).number() == 10
    made.engine.stop()
    assert made.gone.wait(WAIT_S)


class Shaky(BatchRunner):
    """Takes no two calls at once, and its device fails at the first."""

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str], handle: RunHandle) -> list[Array]:
        if len(feeds["x"]) > 1:
            raise OutOfMemory("too large")
        return super().run(feeds, outputs, handle)


def test_amid_a_batch_that_is_run_one_by_one() -> None:
    def refuse(_error: DeviceFailure, _runner: Runner) -> bool:
        engine.refuse_waiting(ModelNotReady("no rung is left"))
        return False

    runner = Shaky(bad=[1], error=DeviceFailure)
    engine = Engine(
        Serving(runner, Statistics()),
        queue_limit=64,
        concurrency=1,
        batching=BatchLimits(max_rows=8),
        on_device_failure=refuse,
    )
    replies = [Replies() for _ in range(3)]
    for number, reply in enumerate(replies, start=1):
        engine.submit(batch_call(number), reply)
    engine.start()
    outcomes = [reply.only() for reply in replies]
    engine.stop()
    assert [type(outcome) for outcome in outcomes] == [ModelNotReady] * 3
    assert [str(outcome) for outcome in outcomes[1:]] == ["no rung is left"] * 2
    assert runner.batches == [[1]]
