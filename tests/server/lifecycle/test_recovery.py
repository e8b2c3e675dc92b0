"""The thread that tries lost rungs again."""

import threading
from queue import SimpleQueue

from structlog.testing import capture_logs

from ortolan_server.lifecycle.recovery import Key, Outcome, Recovery
from tests.server.lifecycle.calls import WAIT_S, until

SOON_S = 0.001


class Attempts:
    """Answers each try as planned, the last answer again and again."""

    def __init__(self, *outcomes: Outcome | Exception) -> None:
        self.made: SimpleQueue[Key] = SimpleQueue()
        self._outcomes = list(outcomes)

    def __call__(self, key: Key) -> Outcome:
        outcome = self._outcomes.pop(0) if len(self._outcomes) > 1 else self._outcomes[0]
        self.made.put(key)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def next(self) -> Key:
        return self.made.get(timeout=WAIT_S)


def settled(recovery: Recovery) -> None:
    until(lambda: not recovery._waiting)


def test_it_tries_until_the_rung_is_back() -> None:
    attempts = Attempts(Outcome.NOT_YET, Outcome.NOT_YET, Outcome.RECOVERED)
    recovery = Recovery(attempts)
    recovery.watch(("m", 1), SOON_S, 8 * SOON_S)
    assert [attempts.next() for _ in range(3)] == [("m", 1)] * 3
    settled(recovery)
    assert attempts.made.empty()
    recovery.stop()


def test_one_that_has_come_back_in_part_is_tried_again() -> None:
    attempts = Attempts(Outcome.PARTLY, Outcome.RECOVERED)
    recovery = Recovery(attempts)
    recovery.watch(("m", 1), SOON_S, 8 * SOON_S)
    assert [attempts.next(), attempts.next()] == [("m", 1)] * 2
    settled(recovery)
    assert recovery._backoffs["m", 1].delay_s == 2 * SOON_S
    recovery.stop()


def test_a_try_that_crashes_is_one_that_failed() -> None:
    attempts = Attempts(ZeroDivisionError("a third party's"), Outcome.OVER)
    recovery = Recovery(attempts)
    with capture_logs() as logs:
        recovery.watch(("m", 1), SOON_S, SOON_S)
        assert [attempts.next(), attempts.next()] == [("m", 1)] * 2
        settled(recovery)
    assert [line["event"] for line in logs] == ["recovery_crashed"]
    recovery.stop()


def test_those_that_are_due_first_go_first() -> None:
    attempts = Attempts(Outcome.OVER)
    recovery = Recovery(attempts)
    recovery.watch(("late", 1), 3600.0, 3600.0)
    recovery.watch(("soon", 2), SOON_S, SOON_S)
    assert attempts.next() == ("soon", 2)
    assert attempts.made.empty()
    recovery.stop()


def test_one_that_comes_back_and_fails_again_is_waited_for_longer() -> None:
    attempts = Attempts(Outcome.RECOVERED)
    recovery = Recovery(attempts)
    first_s = 0.5  # that which has come back for four times as long is taken to be well
    recovery.watch(("m", 1), first_s, 60.0)
    attempts.next()
    settled(recovery)
    recovery.watch(("m", 1), first_s, 60.0)
    assert recovery._backoffs["m", 1].delay_s == 2 * first_s
    recovery.stop()


def test_one_that_falls_further_during_a_try_is_tried_again() -> None:
    again: SimpleQueue[Key] = SimpleQueue()

    def attempt(key: Key) -> Outcome:
        again.put(key)
        if again.qsize() == 1:
            recovery.watch(key, 0.0, 0.0)
        return Outcome.OVER  # of what served when the try began

    recovery = Recovery(attempt)
    recovery.watch(("m", 1), 0.0, 0.0)
    settled(recovery)
    assert again.qsize() == 2
    recovery.stop()


def test_one_that_fails_before_it_is_known_to_have_come_back_is_waited_for_longer() -> None:
    tried = threading.Event()

    def attempt(key: Key) -> Outcome:
        recovery.watch(key, 60.0, 3600.0)
        tried.set()
        return Outcome.RECOVERED

    recovery = Recovery(attempt)
    recovery.watch(("m", 1), SOON_S, 60.0)
    assert tried.wait(WAIT_S)
    until(lambda: recovery._backoffs["m", 1].delay_s == 2 * SOON_S)
    recovery.stop()


def test_a_reload_may_bring_other_times() -> None:
    attempts = Attempts(Outcome.RECOVERED)
    recovery = Recovery(attempts)
    recovery.watch(("m", 1), SOON_S, SOON_S)
    attempts.next()
    settled(recovery)
    recovery.watch(("m", 1), 60.0, 3600.0)
    assert recovery._backoffs["m", 1].most_s == 3600.0
    recovery.stop()


def test_once_stopped_it_tries_nothing() -> None:
    attempts = Attempts(Outcome.NOT_YET)
    recovery = Recovery(attempts)
    recovery.stop()
    recovery.watch(("m", 1), SOON_S, SOON_S)
    assert recovery._thread is None
    assert attempts.made.empty()
