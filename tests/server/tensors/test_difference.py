"""Differences worked out by hand."""

from typing import Any

import numpy as np
import pytest

from ortolan_server.tensors.difference import Tolerance, compare


def fp32(*values: Any) -> np.ndarray[Any, Any]:
    return np.array(values, np.float32)


def test_the_same_is_equal() -> None:
    answer = fp32([1.0, -2.0], [np.nan, np.inf])
    found = compare("y", "FP32", [(answer, answer.copy())])
    assert (found.max_abs, found.max_rel, found.equal, found.within_tolerance) == (0.0, 0.0, True, True)
    assert found.cosine == pytest.approx(1.0)
    assert found.top1_agreement == 1.0


# The largest is 100: 0.001 of it is 0.1, and 0.01 of each value beside.
@pytest.mark.parametrize(("ours", "within"), [(101.05, True), (101.15, False), (98.95, True), (98.85, False)])
def test_the_tolerance(ours: float, *, within: bool) -> None:
    found = compare("y", "FP64", [(np.array([[ours, 1.0]]), np.array([[100.0, 1.0]]))])
    assert found.within_tolerance == within
    assert found.max_abs == pytest.approx(abs(ours - 100.0))
    assert found.max_rel == pytest.approx(abs(ours - 100.0) / 100.0)
    assert not found.equal


def test_small_values_are_held_against_the_largest() -> None:
    found = compare("y", "FP32", [(fp32([1000.0, 0.5]), fp32([1000.0, 0.0]))])
    assert found.within_tolerance
    assert found.max_rel == pytest.approx(0.5 / 1e-3)


def test_a_value_near_zero_is_held_against_the_other_answers() -> None:
    large, small = (fp32(2.0), fp32(2.0)), (fp32(0.0065), fp32(0.005))
    assert compare("y", "FP32", [large, small]).within_tolerance  # 0.002 + 0.00005
    assert not compare("y", "FP32", [small]).within_tolerance
    assert not compare("y", "FP32", [large, (fp32(0.008), fp32(0.005))]).within_tolerance


def test_the_worst_of_several_inputs_is_told() -> None:
    close, far = (fp32([1.0, 2.0]), fp32([1.0, 2.0])), (fp32([[3.0, 2.0], [1.0, 2.0]]), fp32([[1.0, 2.0], [1.0, 2.0]]))
    found = compare("y", "FP32", [(close[0][None], close[1][None]), far])
    assert (found.max_abs, found.within_tolerance) == (2.0, False)
    assert found.cosine == pytest.approx((3 + 4 + 1 + 4) / np.sqrt((9 + 4 + 1 + 4) * (1 + 4 + 1 + 4)))
    assert found.top1_agreement == pytest.approx(2 / 3)


@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])
def test_a_hole_where_the_other_has_a_number(hole: float) -> None:
    found = compare("y", "FP32", [(fp32(1.0, hole), fp32(1.0, 2.0))])
    assert not found.within_tolerance
    assert found.max_abs == 0.0
    assert not compare("y", "FP32", [(fp32(1.0, np.inf), fp32(1.0, -np.inf))]).within_tolerance


def test_whole_numbers_must_be_the_same() -> None:
    found = compare("y", "INT64", [(np.array([[1, 2]]), np.array([[1, 3]]))])
    assert (found.max_abs, found.within_tolerance, found.cosine, found.top1_agreement) == (1.0, False, None, None)
    assert compare("y", "INT64", [(np.array([7]), np.array([7]))]).within_tolerance


def test_texts_must_be_the_same() -> None:
    found = compare("y", "BYTES", [(np.array(["a", "bc"]), np.array(["a", "b"]))])
    assert (found.max_abs, found.equal, found.within_tolerance) == (None, False, False)
    assert compare("y", "BYTES", [(np.array(["a", "b"]), np.array(["a", "b"]))]).equal


@pytest.mark.parametrize(("least", "within"), [(0.75, True), (0.76, False)])
def test_a_share_of_whole_numbers_and_texts_may_differ(least: float, *, within: bool) -> None:
    numbers, texts = np.array([1, 2, 3, 4]), np.array(["a", "b", "c", "d"], object)
    for datatype, theirs, other in (("INT64", numbers, 9), ("BYTES", texts, "z")):
        ours = theirs.copy()
        ours[0] = other
        found = compare("y", datatype, [(ours, theirs)], Tolerance(min_equal=least))
        assert (found.within_tolerance, found.equal) == (within, False)


def test_another_shape_is_not_compared() -> None:
    found = compare("y", "FP32", [(fp32(1.0), fp32(1.0, 2.0))])
    assert (found.max_abs, found.equal, found.within_tolerance) == (None, False, False)


def test_bfloat16_is_read_from_its_bits() -> None:
    one, two = np.array([0x3F80], np.uint16), np.array([0x4000], np.uint16)
    assert compare("y", "BF16", [(two, one)]).max_abs == 1.0


def test_zeros() -> None:
    assert compare("y", "FP32", [(fp32(0.0), fp32(0.0))]).cosine == 1.0
    found = compare("y", "FP32", [(fp32(1.0), fp32(0.0))])
    assert (found.cosine, found.within_tolerance) == (0.0, False)
    assert compare("y", "FP32", [(fp32(7.4e-9), fp32(0.0))]).within_tolerance
    assert not compare("y", "FP32", [(fp32(1.1e-7), fp32(0.0))]).within_tolerance
    assert not compare("y", "FP32", [(fp32(7.4e-9), fp32(0.0))], Tolerance(atol=0.0)).within_tolerance
    empty = np.zeros((0, 3), np.float32)
    assert compare("y", "FP32", [(empty, empty)]).within_tolerance


def test_what_is_too_large_for_a_number_is_still_a_number() -> None:
    found = compare("y", "FP64", [(np.array([1e308]), np.array([-1e308]))])
    assert found.max_abs is not None
    assert np.isfinite(found.max_abs)
    assert found.cosine == -1.0


def test_one_value_a_row_has_no_largest() -> None:
    assert compare("y", "FP32", [(fp32([1.0], [2.0]), fp32([1.0], [2.0]))]).top1_agreement is None
    assert compare("y", "FP32", [(fp32(1.0, 2.0), fp32(2.0, 1.0))]).top1_agreement is None


@pytest.mark.parametrize(
    ("tolerance", "within"),
    [
        (Tolerance(), False),
        (Tolerance(atol=0.6), True),
        (Tolerance(rtol=1.1), True),
        (Tolerance(atol=0.6, min_cosine=0.999), False),
        (Tolerance(atol=0.6, min_cosine=0.9), True),
        (Tolerance(atol=0.6, min_top1=0.6), False),
        (Tolerance(atol=0.6, min_top1=0.5), True),
    ],
)
def test_a_tolerance_of_ones_own(tolerance: Tolerance, *, within: bool) -> None:
    ours, theirs = fp32([2.0, 1.0], [2.0, 1.0]), fp32([2.0, 1.0], [1.0, 1.01])
    assert compare("y", "FP32", [(ours, theirs)], tolerance).within_tolerance == within


def test_answers_that_are_equal_are_within_any_tolerance() -> None:
    """The cosine of an array with itself may be a hair below 1."""
    answer = fp32([0.1, 0.2, 0.3])
    assert compare("y", "FP32", [(answer, answer)], Tolerance(0.0, 0.0, 1.0, 1.0)).within_tolerance
