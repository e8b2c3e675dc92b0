"""Sizes, durations and counts as people write them."""

import math
import re

from pydantic import TypeAdapter, ValidationError

from ortolan_backends.options import Size

__all__ = ["counted", "parse_duration_s", "parse_size_bytes", "size_text"]

_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
# The digits are bounded: Python refuses to convert thousands of them, with an error of its own.
_DIGITS = re.compile(r"[0-9]{1,18}")
_DURATION = re.compile(r"(?P<number>[0-9]{1,9}(?:\.[0-9]{1,9})?) ?(?P<unit>[a-z]*)")
_KIBI = 1024
_SIZE: TypeAdapter[int] = TypeAdapter(Size)


def parse_size_bytes(value: object) -> int:
    """A size in bytes, from a whole number of bytes or from text: `256MiB`, `1.5 GB`, `4096`.

    Takes what the sizes of a model.toml take, and bare digits, as which numbers come from a command line. Raises
    ValueError that says what is allowed.
    """
    try:
        number = int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else value
        return _SIZE.validate_python(number, strict=True)
    except ValidationError:
        allowed = "a whole number of bytes, or a number with B, KB, MB, GB, KiB, MiB or GiB"
        raise ValueError(f"must be a size: {allowed}, not {value!r}") from None


def parse_duration_s(value: object) -> float:
    """A duration in seconds, from a number of seconds or from text: `30s`, `500ms`, `2m`, `1h`, `30d`, `60`.

    Raises ValueError that says what is allowed.
    """
    if isinstance(value, str) and (match := _DURATION.fullmatch(value)) and match["unit"] in _SECONDS:
        return float(match["number"]) * _SECONDS[match["unit"]]
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0:
        return float(value)
    raise ValueError(f"must be a duration: a number of seconds, or a number with ms, s, m, h or d, not {value!r}")


def counted(number: int, noun: str) -> str:
    """As in 1 core, 2 cores."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def size_text(size_bytes: int) -> str:
    """`12.3 MiB`."""
    size, units = float(size_bytes), ["bytes", "KiB", "MiB", "GiB"]
    while size >= _KIBI and len(units) > 1:
        size, units = size / _KIBI, units[1:]
    return f"{size:.0f} bytes" if units[0] == "bytes" else f"{size:.1f} {units[0]}"
