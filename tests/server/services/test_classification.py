import numpy as np
import pytest

from ortolan_server.services.classification import classify


def test_unbatched_output_is_flattened() -> None:
    array = np.asarray([[0.25, 3.0], [-1.0, 0.5]], np.float32)
    texts = classify(array, "FP32", 3, batched=False)
    assert texts.shape == (3,)
    assert texts.tolist() == ["3.000000:1", "0.500000:3", "0.250000:0"]


def test_batched_output_row_by_row() -> None:
    array = np.asarray([[[1, 2], [3, 4]], [[8, 7], [6, 5]]], np.int64)
    texts = classify(array, "INT64", 2, batched=True)
    assert texts.tolist() == [["4:3", "3:2"], ["8:0", "7:1"]]


@pytest.mark.parametrize(
    ("shape", "batched", "expected"),
    [((), False, (1,)), ((), True, (1,)), ((3,), True, (3, 1)), ((0, 5), True, (0, 5)), ((0,), False, (0,))],
)
def test_count_is_cut_to_what_there_is(shape: tuple[int, ...], *, batched: bool, expected: tuple[int, ...]) -> None:
    assert classify(np.zeros(shape, np.float64), "FP64", 2**62, batched=batched).shape == expected


def test_first_of_equal_values_comes_first_and_nan_last() -> None:
    array = np.asarray([np.nan, 1.0, 2.0, 2.0, -np.inf], np.float16)
    assert classify(array, "FP16", 5, batched=False).tolist() == [
        "2.000000:2",
        "2.000000:3",
        "1.000000:1",
        "nan:0",
        "-inf:4",
    ]


@pytest.mark.parametrize(
    ("datatype", "array", "best"),
    [
        ("UINT8", np.asarray([0, 255, 7], np.uint8), "255:1"),
        ("INT8", np.asarray([-128, -3], np.int8), "-3:1"),
        ("UINT64", np.asarray([2**64 - 1, 0], np.uint64), "18446744073709551615:0"),
        ("BOOL", np.asarray([False, True]), "1:1"),
        ("BF16", np.asarray([0xBF80, 0x3FC0], np.uint16), "1.500000:1"),  # -1 and 1.5
    ],
)
def test_every_kind_of_number(datatype: str, array: np.ndarray[tuple[int], np.dtype[np.generic]], best: str) -> None:
    assert classify(array, datatype, 1, batched=False).tolist() == [best]
