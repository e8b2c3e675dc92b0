"""Pools that count what they hold."""

import threading

import pytest

from ortolan_server.errors import Overloaded
from ortolan_server.transport.pools import ByteBudget, CallPool

LIMIT_S = 30.0


def is_full(pool: CallPool) -> bool:
    return pool.full


def test_it_is_full_while_it_holds_its_limit() -> None:
    pool, release = CallPool(2, "test"), threading.Event()
    calls = [pool.submit(release.wait, LIMIT_S) for _ in range(2)]
    assert is_full(pool)
    assert not pool.wait_idle(0.0)
    release.set()
    assert pool.wait_idle(LIMIT_S)
    assert not is_full(pool)
    assert all(call.result(LIMIT_S) for call in calls)


def test_a_call_that_raises_leaves_its_place() -> None:
    pool = CallPool(1, "test")
    call = pool.submit(lambda: 1 // 0)
    assert isinstance(call.exception(LIMIT_S), ZeroDivisionError)
    assert pool.wait_idle(LIMIT_S)


def test_what_is_refused_is_not_counted() -> None:
    pool = CallPool(1, "test")
    pool.shutdown()
    with pytest.raises(RuntimeError):
        pool.submit(print)
    assert pool.wait_idle(0.0)


def test_bytes_are_refused_over_the_budget_and_taken_again_after() -> None:
    budget = ByteBudget(100)
    budget.take(60)
    with pytest.raises(Overloaded, match="60 bytes .* 41 more are over the 100 .*--max-in-flight-size"):
        budget.take(41)
    budget.take(40)
    budget.give_back(60)
    budget.take(60)
