"""Comparisons that say what came, also where no test runner rewrites `assert`."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["expect", "expect_array", "expect_in"]


def expect(came: object, wanted: object) -> None:
    """Raises AssertionError unless they are equal."""
    assert came == wanted, f"{came!r} came; wanted {wanted!r}"


def expect_in(part: str, text: str) -> None:
    """Raises AssertionError unless `part` stands in `text`."""
    assert part in text, f"{text!r} came; wanted {part!r} in it"


def expect_array(came: Any, wanted: ArrayLike) -> None:
    """Raises AssertionError unless shape, dtype and every element are equal; NaN equals NaN."""
    wanted = np.asarray(wanted)
    expect((came.dtype, came.shape), (wanted.dtype, wanted.shape))
    np.testing.assert_array_equal(came, wanted)
