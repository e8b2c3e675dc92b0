"""How far the answers of a chain are from those of the CPU."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

__all__ = ["Difference", "Tolerance", "compare", "share_equal"]


class Difference(BaseModel):
    """One output held against the CPU's answer to the same inputs, and the worst of these."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    output: str
    max_abs: float | None
    """None: not numbers, or of another shape."""
    max_rel: float | None
    """|a - b| / max(|b|, 1e-6 x the largest |b|), where b is the CPU's; the largest of all its answers."""
    cosine: float | None
    top1_agreement: float | None
    """Share of rows whose largest value stands at the same place of the last axis; None below two values a row."""
    equal: bool
    """Exactly the same, NaN equal to NaN."""
    within_tolerance: bool
    """As `Tolerance` says."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Which differences are allowed.

    |a - b| <= atol x the largest |b| + rtol x |b| everywhere, where b is the CPU's; NaN and infinities at the same
    places. The largest is that of all its answers, as if the inputs had come as one batch: a single value has no scale
    of its own, and one that is near zero by cancellation may be far off by its own measure. Whole numbers and texts are
    the same or not, and `min_equal` of them must be. The defaults are for what ten bits of mantissa (TF32, FP16) leave
    of a value. FP32 in another order of summing is a thousand times closer; a wrong kernel, a lost weight or a bad
    scale is not within it.
    """

    atol: float = 1e-3
    """Of the largest value of the output, which counts as at least 0.0001: an output may be all zeros, and near them
    other kernels leave a rest."""
    rtol: float = 1e-2
    """Of each value beside that, for outputs whose values are of many sizes."""
    min_cosine: float = -1.0
    min_top1: float = 0.0
    min_equal: float = 1.0


_LEAST_LARGEST = 1e-4  # times `atol`: about what one rounding of a 32-bit float leaves of 1
_SMALLEST_OF_LARGEST = 1e-6  # smaller values count as this when differences are held against them

_USUAL = Tolerance()

Array = NDArray[Any]


def compare(
    output: str, datatype: str, pairs: Sequence[tuple[Array, Array]], tolerance: Tolerance = _USUAL
) -> Difference:
    """`pairs` are a chain's answer and the CPU's to each of some inputs; the worst of them is told.

    BF16 comes as uint16 of the same bits, BYTES as text.
    """
    if any(ours.shape != theirs.shape or ours.dtype.kind != theirs.dtype.kind for ours, theirs in pairs):
        return _without_figures(output, equal=False, within_tolerance=False)
    if datatype == "BYTES":
        share = share_equal(pairs)
        return _without_figures(output, equal=share == 1, within_tolerance=share >= tolerance.min_equal)
    if datatype == "BF16":
        pairs = [(_from_bfloat16(ours), _from_bfloat16(theirs)) for ours, theirs in pairs]
    is_float = pairs[0][0].dtype.kind == "f"
    wide = [(ours.astype(np.float64), theirs.astype(np.float64)) for ours, theirs in pairs]
    largest = max(_largest(_finite(ours, theirs)[1]) for ours, theirs in wide)
    equal = all(np.array_equal(ours, theirs, equal_nan=is_float) for ours, theirs in pairs)
    cosine = min(_cosine(ours, theirs) for ours, theirs in wide) if is_float else None
    top1 = _top1(wide) if is_float else None
    if is_float:
        fits = _are_alike(cosine, top1, tolerance) and all(_is_close(*pair, largest, tolerance) for pair in wide)
    else:
        fits = share_equal(pairs) >= tolerance.min_equal
    return Difference(
        output=output,
        max_abs=max(_max_abs(ours, theirs) for ours, theirs in wide),
        max_rel=max(_max_rel(*pair, largest) for pair in wide),
        cosine=cosine,
        top1_agreement=top1,
        equal=equal,
        within_tolerance=equal or fits,
    )


def share_equal(pairs: Sequence[tuple[Array, Array]]) -> float:
    """Of all values, those that are the same in both; the shapes of each pair are."""
    same = sum(int(np.count_nonzero(ours == theirs)) for ours, theirs in pairs)
    total = sum(ours.size for ours, _ in pairs)
    return same / total if total else 1.0


def _without_figures(output: str, *, equal: bool, within_tolerance: bool) -> Difference:
    return Difference(
        output=output,
        max_abs=None,
        max_rel=None,
        cosine=None,
        top1_agreement=None,
        equal=equal,
        within_tolerance=within_tolerance,
    )


def _from_bfloat16(bits: Array) -> Array:
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _finite(ours: Array, theirs: Array) -> tuple[Array, Array]:
    """Those places where both are finite numbers."""
    places = np.isfinite(ours) & np.isfinite(theirs)
    return ours[places], theirs[places]


def _largest(array: Array) -> float:
    return min(float(np.abs(array).max(initial=0.0)), sys.float_info.max)


def _max_abs(ours: Array, theirs: Array) -> float:
    a, b = _finite(ours, theirs)
    with np.errstate(over="ignore"):
        return _largest(a - b)


def _max_rel(ours: Array, theirs: Array, largest: float) -> float:
    a, b = _finite(ours, theirs)
    floor = _SMALLEST_OF_LARGEST * largest
    if floor == 0:  # the reference is all zeros
        return 0.0 if _largest(a) == 0 else sys.float_info.max
    with np.errstate(over="ignore"):
        return _largest((a - b) / np.maximum(np.abs(b), floor))


def _is_close(ours: Array, theirs: Array, largest: float, tolerance: Tolerance) -> bool:
    same_holes = np.array_equal(
        np.where(np.isfinite(ours), 0.0, ours), np.where(np.isfinite(theirs), 0.0, theirs), equal_nan=True
    )
    a, b = _finite(ours, theirs)
    with np.errstate(over="ignore"):
        allowed = tolerance.atol * max(largest, _LEAST_LARGEST) + tolerance.rtol * np.abs(b)
        return same_holes and bool((np.abs(a - b) <= allowed).all())


def _are_alike(cosine: float | None, top1: float | None, tolerance: Tolerance) -> bool:
    return (cosine is None or cosine >= tolerance.min_cosine) and (top1 is None or top1 >= tolerance.min_top1)


def _cosine(ours: Array, theirs: Array) -> float:
    """1.0 for two arrays of zeros, 0.0 for one."""
    a, b = _finite(ours, theirs)
    scale_a, scale_b = _largest(a), _largest(b)
    if scale_a == 0 or scale_b == 0:
        return 1.0 if scale_a == scale_b else 0.0
    a, b = a / scale_a, b / scale_b
    cosine = float(a.ravel() @ b.ravel()) / math.sqrt(float((a * a).sum()) * float((b * b).sum()))
    return max(-1.0, min(1.0, cosine))


def _top1(pairs: Sequence[tuple[Array, Array]]) -> float | None:
    """Over the last axis, that of classes; a first axis alone is the batch's."""
    agreements = [
        np.argmax(ours, -1) == np.argmax(theirs, -1)
        for ours, theirs in pairs
        if ours.ndim > 1 and ours.shape[-1] > 1 and ours.size
    ]
    if not agreements:
        return None
    return float(np.concatenate([agreement.ravel() for agreement in agreements]).mean())
