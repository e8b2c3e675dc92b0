"""Figures for people: three digits that matter, never a unit that is off by a thousand."""

import math

import pytest

from ortolan_server.bench.figures import duration, memory, rate, ratio, rounded, times


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.0123, "0.0123"),
        (4.1e-7, "4.1e-07"),
        (4.564, "4.56"),
        (78.94, "78.9"),
        (999.4, "999"),
        (1234.6, "1,235"),
        (-2.5, "-2.50"),
        (math.nan, "nan"),
        (math.inf, "inf"),
    ],
)
def test_numbers_keep_three_digits(value: float, text: str) -> None:
    assert rounded(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 µs"),
        (8.42e-5, "84.2 µs"),
        (0.0009996, "1.00 ms"),
        (0.00321, "3.21 ms"),
        (0.9996, "1.00 s"),
        (1.244, "1.24 s"),
        (312.4, "312 s"),
    ],
)
def test_durations_take_the_unit_that_fits(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(152 << 20, "152 MiB"), (1402 << 20, "1.4 GiB"), (0, "0 MiB")])
def test_memory_takes_the_unit_that_fits(count: int, text: str) -> None:
    assert memory(count) == text


@pytest.mark.parametrize(("value", "text"), [(0.918, "0.92"), (1.528, "1.53"), (12.44, "12.4"), (0.0, "0.00")])
def test_ratios_keep_two_decimals_or_three_digits(value: float, text: str) -> None:
    assert (ratio(value), times(value)) == (f"×{text}", f"{text}x")


def test_words_stand_behind_figures() -> None:
    assert (rate(1234.6), rate(9.87)) == ("1,235 rows/s", "9.87 rows/s")
