import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortolan_server.units import counted, parse_duration_s, parse_size_bytes


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (0, 0),
        (4096, 4096),
        ("4096", 4096),
        ("4096B", 4096),
        ("1KB", 1000),
        ("1KiB", 1024),
        ("256MiB", 256 * 2**20),
        ("256 MB", 256 * 10**6),
        ("1.5GiB", 3 * 2**29),
        ("2GB", 2 * 10**9),
    ],
)
def test_sizes(value: object, size: int) -> None:
    assert parse_size_bytes(value) == size


@pytest.mark.parametrize(
    "value",
    [
        "",
        "MiB",
        "-1MiB",
        "1Mib",
        "1mib",
        "1 Mi",
        "1MiB ",
        "1e3",
        "0x10",
        "1\u00a0MiB",
        "nan",
        -1,
        1.5,
        True,
        None,
        [1],
        "9" * 5000,
        "9" * 5000 + "GiB",
    ],
)
def test_what_is_no_size(value: object) -> None:
    with pytest.raises(ValueError, match="must be a size: .* KiB, MiB or GiB, not "):
        parse_size_bytes(value)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (0, 0.0),
        (1.5, 1.5),
        ("60", 60.0),
        ("0.5", 0.5),
        ("30s", 30.0),
        ("500ms", 0.5),
        ("2m", 120.0),
        ("1.5 h", 5400.0),
        ("2d", 172800.0),
    ],
)
def test_durations(value: object, seconds: float) -> None:
    assert parse_duration_s(value) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "value", ["", "s", "-1s", "1S", "1min", "1s ", "inf", "1e9", -1, float("nan"), float("inf"), True, None, "9" * 5000]
)
def test_what_is_no_duration(value: object) -> None:
    with pytest.raises(ValueError, match="must be a duration: .* ms, s, m, h or d, not "):
        parse_duration_s(value)


@given(st.text(max_size=12))
def test_text_is_a_value_or_a_value_error(text: str) -> None:
    for parse in (parse_size_bytes, parse_duration_s):
        try:
            assert parse(text) >= 0
        except ValueError as error:
            assert "must be" in str(error)  # noqa: PT017 - either outcome is right


def test_counts() -> None:
    assert (counted(1, "core"), counted(2, "core"), counted(0, "core")) == ("1 core", "2 cores", "0 cores")
