import pytest

from ortolan_server.engine.pace import Pace, SizePace


def after(*runs_s: float) -> SizePace:
    pace = SizePace()
    for run_s in runs_s:
        pace.record(run_s)
    return pace


def test_first_runs_say_nothing() -> None:
    assert not after(1e-5, 1e-5).inline
    assert after(1e-5, 1e-5).least_s == 0.0
    assert after(5.0, 3.0, 1e-5).inline
    assert after(5.0, 3.0, 1e-5).least_s == 1e-5


@pytest.mark.parametrize(("run_s", "inline"), [(2e-5, True), (2.9e-4, True), (3.1e-4, False), (1.0, False)])
def test_short_runs_are_made_inline(run_s: float, *, inline: bool) -> None:
    assert after(*[run_s] * 10).inline is inline


def test_between_the_bounds_nothing_changes() -> None:
    short, long = after(*[2e-4] * 5), after(*[2e-4] * 5, *[7e-4] * 100)
    assert (short.inline, long.inline) == (True, False)
    for _ in range(100):
        short.record(5e-4)
        long.record(4e-4)
        assert (short.inline, long.inline) == (True, False)


def test_one_run_that_was_held_up_changes_nothing_and_a_long_one_does() -> None:
    usual = [5e-5] * 20
    assert after(*usual, 4e-3).inline
    assert not after(*usual, 0.5).inline
    assert after(*usual, 0.5, *usual * 5).inline


def test_the_least_forgets_slowly() -> None:
    pace = after(*[0.1] * 5)
    pace.record(10.0)
    assert pace.least_s == pytest.approx(0.105)
    for _ in range(200):
        pace.record(1.0)
    assert pace.least_s == 1.0
    pace.record(0.2)
    assert pace.least_s == 0.2


def test_sizes_are_told_apart() -> None:
    pace = Pace()
    assert pace.of(48) is pace.of(63)
    assert pace.of(48) is not pace.of(64)
    assert pace.of(0) is not pace.of(1)
