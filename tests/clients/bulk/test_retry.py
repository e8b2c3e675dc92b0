"""What becomes of batches that failed, and how long is paused."""

import pytest

from ortolan_client import (
    BadAnswer,
    Cancelled,
    DeadlineExceeded,
    InvalidInput,
    MessageTooLarge,
    NotAllowed,
    NotFound,
    NotSupported,
    OrtolanClientError,
    Overloaded,
    ServerError,
    Unavailable,
)
from ortolan_client._bulk.retry import Fate, Pause, fate


@pytest.mark.parametrize(
    ("kind", "fates"),
    [
        (InvalidInput, [Fate.SPLIT]),
        (MessageTooLarge, [Fate.SPLIT]),
        (ServerError, [Fate.RETRY, Fate.RETRY, Fate.SPLIT, Fate.SPLIT]),
        (DeadlineExceeded, [Fate.RETRY, Fate.SPLIT]),
        (Overloaded, [Fate.RETRY, Fate.RETRY, Fate.RETRY, Fate.SPLIT]),
        (Unavailable, [Fate.RETRY] * 10),
        (Cancelled, [Fate.RETRY] * 10),
        (NotFound, [Fate.GIVE_UP]),
        (NotAllowed, [Fate.GIVE_UP]),
        (NotSupported, [Fate.GIVE_UP]),
        (BadAnswer, [Fate.GIVE_UP]),
    ],
)
def test_each_error_has_its_fate(kind: type[OrtolanClientError], fates: list[Fate]) -> None:
    error = kind("so it is", code="X")
    assert [fate(error, failures, rows=8) for failures in range(1, len(fates) + 1)] == fates


def test_a_single_row_that_is_refused_for_overload_waits() -> None:
    assert fate(Overloaded("full", code="X"), failures=100, rows=1) is Fate.RETRY


def test_pauses_grow_until_an_answer_comes() -> None:
    pause = Pause(retry_for_s=1000.0)
    lengths = []
    now_s = 0.0
    for _ in range(8):
        assert pause.failed(now_s, now_s, spread=1.0)
        lengths.append(round(pause.until_s - now_s, 3))
        now_s = pause.until_s
    assert lengths == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    pause.answered()
    pause.failed(now_s, now_s, spread=0.0)
    assert pause.until_s - now_s == pytest.approx(0.025)


def test_calls_that_fail_together_lengthen_it_once() -> None:
    pause = Pause(retry_for_s=1000.0)
    for _ in range(20):
        pause.failed(0.0, 1.0, spread=1.0)
    assert pause.until_s == pytest.approx(1.05)


def test_it_ends_when_nothing_is_answered_for_too_long() -> None:
    pause = Pause(retry_for_s=10.0)
    assert pause.failed(0.0, 5.0, 0.0)
    assert pause.failed(5.0, 15.0, 0.0)
    assert not pause.failed(15.0, 15.1, 0.0)
    pause.answered()
    assert pause.failed(15.1, 30.0, 0.0)
