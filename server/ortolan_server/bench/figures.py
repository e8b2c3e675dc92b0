"""Figures for people: three digits that matter, in the unit that fits."""

import math

__all__ = ["duration", "memory", "rate", "ratio", "rounded", "times"]

_MILLI, _MICRO = 1e-3, 1e-6
_THOUSAND = 1000


def rounded(value: float) -> str:
    """Three digits that matter, thousands set apart: 0.0123, 4.56, 78.9, 1,235. Small ones as in 4.1e-07."""
    if not math.isfinite(value) or (value != 0 and abs(value) < _MILLI):
        return f"{value:.2g}"
    # 0.9996 has one digit before the point once it is rounded, and two after it.
    digits = 2 - math.floor(math.log10(abs(float(f"{value:.3g}")))) if value else 0
    return f"{value:,.{max(digits, 0)}f}"


def duration(seconds: float) -> str:
    """As in 84.2 µs, 3.21 ms, 1.24 s, 312 s."""
    for unit, name in ((_MICRO, "µs"), (_MILLI, "ms")):
        # What would be rounded up to 1000 belongs to the next unit.
        if seconds < (_THOUSAND - 0.5) * unit:
            return f"{rounded(seconds / unit)} {name}"
    return f"{rounded(seconds)} s"


def memory(count_bytes: int) -> str:
    """As in 152 MiB, 3.4 GiB."""
    mebibytes = count_bytes / 2**20
    return f"{mebibytes:.0f} MiB" if mebibytes < _THOUSAND else f"{mebibytes / 1024:.1f} GiB"


def rate(rows_per_s: float) -> str:
    """As in 1,235 rows/s."""
    return f"{rounded(rows_per_s)} rows/s"


def ratio(value: float) -> str:
    """For a column: ×0.92, ×1.53, ×12.4."""
    return f"×{_factor(value)}"


def times(value: float) -> str:
    """For a sentence: 0.92x, 1.53x, 12.4x."""
    return f"{_factor(value)}x"


def _factor(value: float) -> str:
    return rounded(value) if value >= 1 else f"{value:.2f}"
