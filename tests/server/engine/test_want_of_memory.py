"""Runs for which there is too little memory: smaller batches for a while, and an answer that says so."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from ortolan_backends.errors import OutOfMemory
from ortolan_server.engine.call import InferenceResult
from ortolan_server.engine.engine import BatchLimits, Serving
from ortolan_server.engine.statistics import Statistics
from ortolan_server.errors import Overloaded
from tests.server.engine.batches import BatchRunner, batch_call
from tests.server.engine.devices import Hook, MakeEngine, engines, submit
from tests.server.engine.runners import FakeRunner, Replies


@pytest.fixture
def make_engine() -> Iterator[MakeEngine]:
    with engines() as make:
        yield make


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


def test_preferred_sizes_that_are_too_large_now_are_left_out() -> None:
    limits = BatchLimits(max_rows=16, preferred_rows=frozenset({4, 16}))
    assert limits.at_most(8) == BatchLimits(max_rows=8, preferred_rows=frozenset({4}))
    assert limits.at_most(32) == replace(limits)
