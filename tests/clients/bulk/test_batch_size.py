"""The size of batches, stepped by hand."""

import pytest

from ortolan_client._bulk.batch_size import LARGEST_BATCH, BatchSize


def run(batch: BatchSize, call_s: float, row_s: float, seconds: float, now_s: float = 0.0) -> float:
    """Batches one after the other at a server that takes so long for a call and for each row of it."""
    end_s = now_s + seconds
    while now_s < end_s:
        sent_s = now_s
        now_s += call_s + row_s * batch.size
        if batch.searching(now_s):
            batch.answered(batch.size, sent_s, now_s)
    return now_s


@pytest.mark.parametrize(("call_s", "row_s"), [(200e-6, 0.1e-6), (500e-6, 20e-6), (1e-3, 1e-3), (100e-6, 10e-3)])
def test_it_ends_where_a_larger_batch_brings_nothing(call_s: float, row_s: float) -> None:
    batch = BatchSize()
    batch.begin(row_bytes=1024)
    run(batch, call_s, row_s, 20.0)
    rate = batch.size / (call_s + row_s * batch.size)
    best = LARGEST_BATCH / (call_s + row_s * LARGEST_BATCH)
    assert rate > 0.8 * best or batch.size * row_s > 0.5
    assert batch.size == LARGEST_BATCH or batch.size * row_s < 20 * call_s + 2.6


def test_the_first_is_by_bytes() -> None:
    assert BatchSize().size == 1  # until one row was seen
    sizes = {}
    for row_bytes in (0, 48, 1024, 600_000, 10**7):
        batch = BatchSize()
        batch.begin(row_bytes)
        sizes[row_bytes] = batch.size
    assert sizes == {0: 2048, 48: 1365, 1024: 64, 600_000: 8, 10**7: 1}


def test_one_bad_trial_does_not_end_the_growth() -> None:
    batch = BatchSize()
    batch.begin(8192)
    now_s = run(batch, 1e-3, 1e-6, 0.02)
    grown = batch.size
    assert grown > 8
    now_s = run(batch, 50e-3, 1e-6, 0.5, now_s)  # somebody else had the machine
    run(batch, 1e-3, 1e-6, 2.0, now_s)
    assert batch.size > grown


def test_batches_that_take_long_do_not_grow() -> None:
    batch = BatchSize()
    batch.begin(8192)
    run(batch, 20.0, 0.1, 1000.0)
    assert batch.size == 8


def test_a_limit_holds() -> None:
    batch = BatchSize()
    batch.begin(8192)
    batch.limit(100)
    run(batch, 1e-3, 1e-6, 10.0)
    assert batch.size <= 100
    batch.limit(3)
    assert batch.size == 3
    batch.limit(0)
    assert batch.size == 1


def test_a_fixed_one_changes_by_a_limit_only() -> None:
    batch = BatchSize(smallest=500, largest=500)
    batch.begin(48)
    run(batch, 1e-3, 1e-6, 10.0)
    assert batch.size == 500
    batch.limit(250)
    assert batch.size == 250


def test_it_is_found_out_again_after_a_while() -> None:
    batch = BatchSize()
    batch.begin(8192)
    now_s = run(batch, 0.0, 1e-3, 5.0)  # calls cost nothing
    small = batch.size
    run(batch, 10e-3, 1e-6, 120.0, now_s)
    assert batch.size > 4 * small


def test_batches_of_another_size_say_nothing() -> None:
    batch = BatchSize()
    batch.begin(8192)
    for turn in range(1000):
        assert not batch.answered(3, turn, turn + 0.5)
    assert batch.size == 8
