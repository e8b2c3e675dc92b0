"""What a model file tells before it is opened."""

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from ortolan_backends.runtime.model import read_model
from tests import models
from tests.models import add_one, constant_of_shape, convolution, countdown


@pytest.mark.parametrize(
    ("proto", "predictable"),
    [(add_one(), True), (convolution("Relu"), True), (countdown(), False), (constant_of_shape(), False)],
    ids=["sum", "convolution", "loop", "size by an input"],
)
def test_whether_sizes_decide_how_long_a_run_takes(
    proto: onnx.ModelProto, tmp_path: Path, *, predictable: bool
) -> None:
    onnx.save(proto, str(tmp_path / "model.onnx"))
    assert read_model(tmp_path / "model.onnx").is_predictable is predictable


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
    assert read_model(models.save(models.model([node], [x], [y]), tmp_path)).random_operators == found
