"""Engines whose device fails: who hears of it, and what stands on it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ortolan_backends.errors import DeviceFailure
from ortolan_server.engine.engine import BatchLimits, Engine, Runner, Serving
from tests.server.engine.runners import WAIT_S, FakeRunner, Replies, call

__all__ = ["Hook", "MakeEngine", "engines", "failing", "submit", "until_all_are_back", "until_so_many_wait"]

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


@contextmanager
def engines() -> Iterator[MakeEngine]:
    """Makes engines, which are stopped at the end."""
    made: list[Engine] = []

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
        made.append(engine)
        return engine

    yield make
    for engine in made:
        engine.stop()


def failing(*numbers: int, held: tuple[int, ...] = (), stubborn: tuple[int, ...] = ()) -> FakeRunner:
    return FakeRunner({number: DeviceFailure("gone") for number in numbers}, held, stubborn)


def submit(engine: Engine, *numbers: int) -> list[Replies]:
    replies = [Replies() for _ in numbers]
    for number, reply in zip(numbers, replies, strict=True):
        engine.submit(call(number), reply)
    return replies


def until_so_many_wait(engine: Engine, calls: int) -> None:
    """Those of a failed run wait again a moment after the hook has heard of it."""
    give_up_s = time.monotonic() + WAIT_S
    while (waiting := engine.occupancy.waiting_calls) != calls:
        assert time.monotonic() < give_up_s, f"not {calls} calls wait, but {waiting}"
        threading.Event().wait(0.001)


def until_all_are_back(engine: Engine) -> None:
    """Until each run that was given up has ended after all."""
    give_up_s = time.monotonic() + WAIT_S
    while engine.lost_threads:
        assert time.monotonic() < give_up_s, "a run that was let go did not end"
        threading.Event().wait(0.001)
