"""What a model is fed: from files, made up, repeated and cut."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ortolan_server.errors import InvalidConfig
from ortolan_server.tensors import DATATYPES, Shape, Signature, TensorSpec
from ortolan_server.tensors.feeds import Arrays, MadeUp, Source, first_rows, make_inputs


def signature(*inputs: TensorSpec) -> Signature:
    return Signature(inputs, (TensorSpec("y", "FP32", ("N",)),))


def one(shape: Shape, datatype: str = "FP32") -> Signature:
    return signature(TensorSpec("x", datatype, shape))


def fed(folder: Path, wanted: Signature, rows: int = 1, seed: int = 0, **given: Any) -> Arrays:
    for name, array in given.items():
        np.save(folder / f"{name}.npy", array)
    return make_inputs(wanted, {name: folder / f"{name}.npy" for name in given}, rows=rows, seed=seed)


def test_dimensions_that_may_vary_are_one_but_the_batch(tmp_path: Path) -> None:
    wanted = one(("N", None, 3, None))
    assert fed(tmp_path, wanted, rows=8)["x"].shape == (8, 1, 3, 1)


def test_the_same_seed_makes_the_same_inputs(tmp_path: Path) -> None:
    wanted = one(("N", 9))
    first, again, other = (fed(tmp_path, wanted, seed=seed)["x"] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_rows_of_a_file_are_repeated_and_cut(tmp_path: Path) -> None:
    wanted = one(("N",))
    given = np.array([1, 2, 3], np.float32)
    assert fed(tmp_path, wanted, rows=7, x=given)["x"].tolist() == [1, 2, 3, 1, 2, 3, 1]
    arrays = fed(tmp_path, wanted, rows=2, x=given)
    assert arrays["x"].tolist() == [1, 2]
    assert first_rows(wanted, arrays, 1)["x"].tolist() == [1]


def test_a_random_input_has_the_sizes_that_a_file_tells(tmp_path: Path) -> None:
    inputs = [TensorSpec(name, "FP32", ("N", "length")) for name in "ab"]
    arrays = fed(tmp_path, signature(*inputs), rows=4, a=np.zeros((1, 5), np.float32))
    assert {name: array.shape for name, array in arrays.items()} == {"a": (4, 5), "b": (4, 5)}


def test_without_a_batch_axis_inputs_stay_as_they_are(tmp_path: Path) -> None:
    wanted = one((2, "M"))
    arrays = fed(tmp_path, wanted, x=np.zeros((2, 4), np.float32))
    assert first_rows(wanted, arrays, 1)["x"].shape == (2, 4)


def test_texts(tmp_path: Path) -> None:
    wanted = one(("N",), "BYTES")
    assert fed(tmp_path, wanted, rows=3, x=np.array(["a", "ü"]))["x"].tolist() == ["a", "ü", "a"]
    assert fed(tmp_path, wanted, x=np.array([b"a"]))["x"].tolist() == ["a"]
    assert fed(tmp_path, wanted)["x"].dtype == object


@pytest.mark.parametrize(
    ("datatype", "shape", "array", "message"),
    [
        ("FP32", ("N", 2), np.zeros((1, 2)), "'x': .*x.npy holds float64; wanted float32"),
        ("FP32", ("N", 2), np.zeros((1, 3), np.float32), r"shape \[1,3\].*dimension 1 is 3, not 2"),
        ("FP32", ("N", 2), np.zeros((0, 2), np.float32), r"\[0,2\]: wanted at least one row"),
        ("FP32", ("N", 2), np.float32(1), "wanted at least one row"),
        ("BYTES", ("N",), np.zeros(1, np.int64), "holds int64; wanted text"),
        ("FP32", (1 << 20, 1 << 20), None, "more than 268435456 elements; give it as a .npy file"),
        ("FP32", None, None, "may have any shape: give it as a .npy file"),
    ],
)
def test_inputs_that_do_not_fit(datatype: str, shape: Shape, array: Any, message: str, tmp_path: Path) -> None:
    wanted = one(shape, datatype)
    with pytest.raises(InvalidConfig, match=message):
        fed(tmp_path, wanted, **({} if array is None else {"x": array}))


def test_an_input_that_the_model_does_not_have() -> None:
    with pytest.raises(InvalidConfig, match="the model has no input 'z'; it takes 'x' FP32"):
        make_inputs(one(("N",)), {"z": MadeUp()}, rows=1, seed=0)


@pytest.mark.parametrize(
    ("rows", "sources", "shapes"),
    [
        (None, {}, [(1, 1), (1, 1)]),
        (None, {"a": MadeUp(shape=(5, 3))}, [(5, 3), (5, 3)]),
        (4, {"a": MadeUp(shape=(5, 3))}, [(4, 3), (4, 3)]),
    ],
)
def test_shapes_that_are_written(rows: int | None, sources: dict[str, Source], shapes: list[tuple[int, ...]]) -> None:
    wanted = signature(*(TensorSpec(name, "FP32", ("N", "length")) for name in "ab"))
    assert [array.shape for array in make_inputs(wanted, sources, rows=rows, seed=0).values()] == shapes


def test_shapes_that_contradict_each_other() -> None:
    wanted = signature(*(TensorSpec(name, "FP32", ("N",)) for name in "ab"))
    with pytest.raises(InvalidConfig, match="dimension 'N' is 5 in input 'a' and 3 in input 'b'"):
        make_inputs(wanted, {"a": MadeUp(shape=(5,)), "b": MadeUp(shape=(3,))}, rows=None, seed=0)


def test_a_file_without_rows_asked_for_stays_as_it_is(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((3, 2), np.float32))
    assert make_inputs(one(("N", 2)), {"x": tmp_path / "x.npy"}, rows=None, seed=0)["x"].shape == (3, 2)


def test_zeros_of_every_datatype() -> None:
    for datatype in DATATYPES:
        (array,) = make_inputs(one(("N",), datatype), {}, rows=2, seed=0, rest=MadeUp("zeros")).values()
        assert array.dtype == DATATYPES[datatype].dtype
        assert array.tolist() == ["", ""] if datatype == "BYTES" else not array.any()


def test_a_shape_is_enough_for_an_input_of_any_rank() -> None:
    assert make_inputs(one(None), {"x": MadeUp("zeros", (2, 3))}, rows=None, seed=0)["x"].shape == (2, 3)
