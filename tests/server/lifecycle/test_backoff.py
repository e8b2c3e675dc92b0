"""When a device is tried again: stepped by hand."""

from ortolan_server.lifecycle.backoff import Backoff

NEVER_FAILED = Backoff(first_s=5.0, most_s=60.0)


def test_the_first_try_comes_soon_and_each_that_fails_doubles_the_wait() -> None:
    backoff = NEVER_FAILED.failed(100.0)
    assert (backoff.delay_s, backoff.due_s) == (5.0, 105.0)
    waits = []
    for _ in range(6):
        now_s = backoff.due_s + 1.0  # a try takes its time
        backoff = backoff.not_yet(now_s)
        waits.append(backoff.due_s - now_s)
    assert waits == [10.0, 20.0, 40.0, 60.0, 60.0, 60.0]


def test_a_device_that_comes_back_for_a_moment_is_waited_for_longer_each_time() -> None:
    backoff, waits = NEVER_FAILED.failed(0.0), []
    for _ in range(6):
        waits.append(backoff.delay_s)
        back_s = backoff.due_s
        backoff = backoff.recovered(back_s).failed(back_s + 1.0)
    assert waits == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]


def test_one_that_served_long_enough_is_tried_soon_again() -> None:
    backoff = NEVER_FAILED.failed(0.0).not_yet(5.0).recovered(15.0)
    assert backoff.delay_s == 10.0
    assert backoff.failed(15.0 + 4 * 10.0).delay_s == 20.0
    assert backoff.failed(15.0 + 4 * 10.0 + 0.1).delay_s == 5.0


def test_a_second_failure_before_the_first_try_makes_it_no_later_than_the_first_wait() -> None:
    backoff = NEVER_FAILED.failed(0.0).failed(1.0)
    assert (backoff.delay_s, backoff.due_s) == (5.0, 6.0)
