"""What a model is fed: from files, made up, repeated and cut."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ortolan_backends.runtime.model import read_model
from ortolan_server.bench.inputs import Arrays, declared_signature, first_rows, make_inputs, random_operators
from ortolan_server.errors import InvalidConfig
from ortolan_server.tensors import Signature
from tests import models

Shape = list[int | str | None] | None


def signature(folder: Path, *inputs: onnx.ValueInfoProto) -> Signature:
    node = helper.make_node("Identity", [inputs[0].name], ["y"], name="same")
    y = models.value("y", TensorProto.FLOAT, ["N"])
    return declared_signature(read_model(models.save(models.model([node], inputs, [y]), folder)))


def fed(folder: Path, wanted: Signature, rows: int = 1, seed: int = 0, **given: Any) -> Arrays:
    for name, array in given.items():
        np.save(folder / f"{name}.npy", array)
    return make_inputs(wanted, {name: folder / f"{name}.npy" for name in given}, rows=rows, seed=seed)


def test_dimensions_that_may_vary_are_one_but_the_batch(tmp_path: Path) -> None:
    wanted = signature(tmp_path, models.value("x", TensorProto.FLOAT, ["N", None, 3, "?", ""]))
    assert fed(tmp_path, wanted, rows=8)["x"].shape == (8, 1, 3, 1, 1)


def test_the_same_seed_makes_the_same_inputs(tmp_path: Path) -> None:
    wanted = signature(tmp_path, models.value("x", TensorProto.FLOAT, ["N", 9]))
    first, again, other = (fed(tmp_path, wanted, seed=seed)["x"] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_rows_of_a_file_are_repeated_and_cut(tmp_path: Path) -> None:
    wanted = signature(tmp_path, models.value("x", TensorProto.FLOAT, ["N"]))
    given = np.array([1, 2, 3], np.float32)
    assert fed(tmp_path, wanted, rows=7, x=given)["x"].tolist() == [1, 2, 3, 1, 2, 3, 1]
    arrays = fed(tmp_path, wanted, rows=2, x=given)
    assert arrays["x"].tolist() == [1, 2]
    assert first_rows(wanted, arrays, 1)["x"].tolist() == [1]


def test_a_random_input_has_the_sizes_that_a_file_tells(tmp_path: Path) -> None:
    inputs = [models.value(name, TensorProto.FLOAT, ["N", "length"]) for name in "ab"]
    arrays = fed(tmp_path, signature(tmp_path, *inputs), rows=4, a=np.zeros((1, 5), np.float32))
    assert {name: array.shape for name, array in arrays.items()} == {"a": (4, 5), "b": (4, 5)}


def test_without_a_batch_axis_inputs_stay_as_they_are(tmp_path: Path) -> None:
    wanted = signature(tmp_path, models.value("x", TensorProto.FLOAT, [2, "M"]))
    arrays = fed(tmp_path, wanted, x=np.zeros((2, 4), np.float32))
    assert first_rows(wanted, arrays, 1)["x"].shape == (2, 4)


def test_texts(tmp_path: Path) -> None:
    wanted = signature(tmp_path, models.value("x", TensorProto.STRING, ["N"]))
    assert fed(tmp_path, wanted, rows=3, x=np.array(["a", "ü"]))["x"].tolist() == ["a", "ü", "a"]
    assert fed(tmp_path, wanted, x=np.array([b"a"]))["x"].tolist() == ["a"]
    assert fed(tmp_path, wanted)["x"].dtype.kind == "U"


@pytest.mark.parametrize(
    ("kind", "shape", "array", "message"),
    [
        (TensorProto.FLOAT, ["N", 2], np.zeros((1, 2)), "'x': .*x.npy holds float64; wanted float32"),
        (TensorProto.FLOAT, ["N", 2], np.zeros((1, 3), np.float32), r"shape \[1,3\].*dimension 1 is 3, not 2"),
        (TensorProto.FLOAT, ["N", 2], np.zeros((0, 2), np.float32), r"\[0,2\]: wanted at least one row"),
        (TensorProto.FLOAT, ["N", 2], np.float32(1), "wanted at least one row"),
        (TensorProto.STRING, ["N"], np.zeros(1, np.int64), "holds int64; wanted text"),
        (TensorProto.FLOAT, [1 << 20, 1 << 20], None, "more than 268435456 elements; give it as a .npy file"),
        (TensorProto.FLOAT, None, None, "may have any shape: give it as a .npy file"),
    ],
)
def test_inputs_that_do_not_fit(kind: int, shape: Shape, array: Any, message: str, tmp_path: Path) -> None:
    wanted = signature(tmp_path, models.value("x", kind, shape))
    with pytest.raises(InvalidConfig, match=message):
        fed(tmp_path, wanted, **({} if array is None else {"x": array}))


def test_weights_are_no_inputs(tmp_path: Path) -> None:
    """Models of old have them among both."""
    proto = models.add_one()
    proto.graph.input.append(models.value("one", TensorProto.FLOAT, [1]))
    wanted = declared_signature(read_model(models.save(proto, tmp_path)))
    assert [spec.name for spec in wanted.inputs] == ["x"]
    assert wanted.has_batch_axis


def test_a_model_whose_tensors_cannot_be_carried(tmp_path: Path) -> None:
    x = helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, [1])
    with pytest.raises(InvalidConfig, match="cannot carry this model's tensors: input 'x' is sequence"):
        signature(tmp_path, x)


@pytest.mark.parametrize(
    ("operator", "inputs", "found"),
    [
        ("RandomUniformLike", ["x"], ("RandomUniformLike",)),
        ("Dropout", ["x"], ()),
        ("Dropout", ["x", "", "training"], ("Dropout",)),
        ("Relu", ["x"], ()),
    ],
)
def test_operators_that_draw(operator: str, inputs: list[str], found: tuple[str, ...], tmp_path: Path) -> None:
    node = helper.make_node(operator, inputs, ["y"], name="one")
    x, y = (models.value(name, TensorProto.FLOAT, ["N"]) for name in "xy")
    assert random_operators(read_model(models.save(models.model([node], [x], [y]), tmp_path))) == found
