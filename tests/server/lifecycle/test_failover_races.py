"""What a failover does when two things happen to a version at once: openings end when a test says so."""

import threading
from collections.abc import Iterator, Sequence
from queue import SimpleQueue

import pytest

from ortolan_backends.errors import DeviceFailure, LoadCancelled
from ortolan_backends.runtime.log import RuntimeLog
from ortolan_backends.runtime.session import Session
from ortolan_server.chains.chain import Chain
from ortolan_server.chains.contract import Verdict, VerdictState
from ortolan_server.chains.registry import Registry
from ortolan_server.chains.report import ChainReport
from ortolan_server.lifecycle.failover import Failover
from ortolan_server.lifecycle.history import EventKind, History
from ortolan_server.lifecycle.opening import OpenModel
from ortolan_server.lifecycle.recovery import Outcome
from ortolan_server.repository import ModelToml
from tests.server.chains import fakes
from tests.server.lifecycle.calls import WAIT_S

NAMES = ("first", "second", "cpu")


def crash() -> Exception:
    """Another each time: the frames of its traceback hold a session."""
    return ZeroDivisionError("the third party divides by zero")


class OnRung:
    """A version, as far as its failover asks."""

    model = "m"
    version = "1"

    def __init__(self, report: ChainReport) -> None:
        self.turn = threading.RLock()
        self.history = History()
        self.serves = True
        self.report: ChainReport | None = report
        self.session = report.session
        self.said: list[str] = []

    @property
    def answers(self) -> bool:
        return self.serves

    def runs_on(self, session: Session) -> bool:
        return self.session is session

    def doubt(self, reason: str) -> None:
        self.said.append(f"doubt: {reason}")

    def seat(self, opened: OpenModel, reason: str = "") -> None:
        self.report, self.session = opened.report, opened.report.session
        self.said.append(f"seat {opened.report.rung}")

    def fail(self, reason: str) -> None:
        self.serves = False
        self.said.append(f"fail: {reason}")


class Opening:
    """One that was begun, on its thread."""

    def __init__(self, rungs: Sequence[int]) -> None:
        self.rungs = tuple(rungs)
        self._thread = threading.current_thread()
        self._end: SimpleQueue[int | Exception] = SimpleQueue()

    def wait(self) -> int:
        end = self._end.get(timeout=WAIT_S)
        if isinstance(end, Exception):
            raise end
        return end

    def ends(self, end: int | Exception) -> None:
        """On that rung, 0: on none. Returns when all has been done that comes of it."""
        self._end.put(end)
        self._thread.join(WAIT_S)

    def refuses(self) -> None:
        """As `ends(0)`, and waits for nothing."""
        self._end.put(0)


class Openings:
    """Each waits until a test lets it end."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._begun: SimpleQueue[Opening] = SimpleQueue()
        self.all: list[Opening] = []

    def report(self, rung: int) -> ChainReport:
        session = None
        if rung:
            session = Session.__new__(Session)  # nobody runs it
            session.gone = threading.Event()
            session.gone.set()
        state = VerdictState.KEPT if rung else VerdictState.BROKEN
        return ChainReport(self._chain, (), Verdict(state), session, rung=rung)

    def __call__(self, rungs: Sequence[int]) -> OpenModel:
        opening = Opening(rungs)
        self.all.append(opening)
        self._begun.put(opening)
        return OpenModel(self.report(opening.wait()), None)

    def next(self, *rungs: int) -> Opening:
        opening = self._begun.get(timeout=WAIT_S)
        assert opening.rungs == rungs
        return opening


@pytest.fixture
def openings(runtime_log: RuntimeLog) -> Iterator[Openings]:
    registry = Registry(fakes.catalog(), runtime_log)
    config = ModelToml.model_validate(
        {"chain": [{"provider": name} for name in NAMES], "require": {"provider": list(NAMES)}}
    )
    made = Openings(registry.compose(config, "m/model.toml"))
    yield made
    for opening in made.all:
        opening.ends(LoadCancelled("the test is over"))


class Made:
    """A failover at a rung, with its version."""

    def __init__(self, registry: Registry, openings: Openings, rung: int, *, standby: bool = False) -> None:
        self.lost = 0
        self.version = OnRung(openings.report(rung))
        self.failover = Failover(self.version, registry, openings, self._lose, standby=standby)

    def fails(self) -> bool:
        assert self.version.session is not None
        return self.failover.device_failed(DeviceFailure("gone"), self.version.session)

    def _lose(self) -> None:
        self.lost += 1


def test_what_has_climbed_back_meanwhile_is_not_thrown_down(registry: Registry, openings: Openings) -> None:
    made = Made(registry, openings, rung=2)
    threading.Thread(target=made.failover.climb_back).start()
    up = openings.next(1)
    assert made.fails()
    down = openings.next(3)
    up.ends(1)
    down.ends(3)
    assert made.version.said[1:] == ["seat 1"]
    assert [event.kind for event in made.version.history.events] == [EventKind.DEVICE_FAILED, EventKind.RECOVERED]


def test_no_rung_below_ends_nothing_that_has_climbed_back_meanwhile(registry: Registry, openings: Openings) -> None:
    made = Made(registry, openings, rung=2)
    threading.Thread(target=made.failover.climb_back).start()
    up = openings.next(1)
    assert made.fails()
    down = openings.next(3)
    up.ends(1)
    down.ends(0)
    assert made.version.serves


def test_a_failure_that_is_told_late_is_not_of_the_session_that_has_taken_over(
    registry: Registry, openings: Openings
) -> None:
    made = Made(registry, openings, rung=2)
    session = made.version.session
    assert session is not None
    threading.Thread(target=made.failover.climb_back).start()
    openings.next(1).ends(1)
    assert made.failover.device_failed(DeviceFailure("gone"), session), "the calls go to the session that serves"
    assert made.version.said == ["seat 1"]


def test_a_standby_that_was_begun_for_another_rung_is_not_kept(registry: Registry, openings: Openings) -> None:
    made = Made(registry, openings, rung=1, standby=True)
    made.failover.prepare()
    slow = openings.next(2, 3)
    assert made.fails()
    openings.next(2, 3).ends(2)
    after = openings.next(3)  # the standby of the rung that serves now
    slow.ends(2)
    assert made.failover.standby_rung == 0
    after.ends(3)
    assert made.failover.standby_rung == 3


def test_a_standby_that_is_ready_too_late_is_not_kept(registry: Registry, openings: Openings) -> None:
    made = Made(registry, openings, rung=1, standby=True)
    made.failover.prepare()
    slow = openings.next(2, 3)
    assert made.fails()
    down = openings.next(2, 3)
    slow.ends(2)
    down.ends(2)
    assert made.failover.standby_rung == 0


def test_a_standby_that_crashes_leaves_what_serves_alone(registry: Registry, openings: Openings) -> None:
    made = Made(registry, openings, rung=1, standby=True)
    made.failover.prepare()
    openings.next(2, 3).ends(crash())
    assert made.version.serves


def test_a_fall_that_crashes_ends_the_version_until_its_device_works(registry: Registry, openings: Openings) -> None:
    made = Made(registry, openings, rung=1)
    assert made.fails()
    openings.next(2, 3).ends(crash())
    assert not made.version.serves
    assert made.lost == 1


def test_a_standby_that_has_taken_the_room_is_waited_for(registry: Registry, openings: Openings) -> None:
    made = Made(registry, openings, rung=1, standby=True)
    made.failover.prepare()
    slow = openings.next(2, 3)
    assert made.fails()
    openings.next(2, 3).refuses()
    slow.ends(2)
    openings.next(3)  # the standby of the rung that serves now
    assert made.version.said[1:] == ["seat 2"]


def test_a_standby_on_a_provider_that_is_lost_too_is_not_taken(registry: Registry, openings: Openings) -> None:
    made = Made(registry, openings, rung=1, standby=True)
    made.failover.prepare()
    openings.next(2, 3).ends(2)
    registry.losses._reasons["CPUExecutionProvider"] = "as the fakes call it, all of which run on it"
    assert made.fails()
    openings.next(2, 3).ends(3)
    assert made.version.said[1:] == ["seat 3"]


def test_a_standby_that_no_thread_can_be_started_for_is_not_waited_for(
    registry: Registry, openings: Openings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    made = Made(registry, openings, rung=1, standby=True)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        made.failover.prepare()
    assert made.version.serves
    assert made.fails()
    openings.next(2, 3).ends(0)
    assert not made.version.serves


def test_what_has_come_back_in_part_goes_on(registry: Registry, openings: Openings) -> None:
    made = Made(registry, openings, rung=1)
    assert made.fails()
    openings.next(2, 3).ends(2)
    assert made.fails()
    openings.next(3).ends(3)
    outcomes: SimpleQueue[Outcome] = SimpleQueue()
    threading.Thread(target=lambda: outcomes.put(made.failover.climb_back())).start()
    openings.next(1, 2).ends(2)
    assert outcomes.get(timeout=WAIT_S) is Outcome.PARTLY
    threading.Thread(target=lambda: outcomes.put(made.failover.climb_back())).start()
    openings.next(1).ends(1)
    assert outcomes.get(timeout=WAIT_S) is Outcome.RECOVERED


def test_a_version_that_has_failed_has_no_standby_opened(registry: Registry, openings: Openings) -> None:
    made = Made(registry, openings, rung=1, standby=True)
    assert made.fails()
    openings.next(2, 3).ends(0)
    assert not made.version.serves
    assert made.failover._prepared.is_set(), "its rungs are the recovery's to try, the one that failed above all"
