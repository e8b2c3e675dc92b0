"""Small models and where they lie."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

Place = Callable[[str], Path]


def tiny_model() -> onnx.ModelProto:
    """Y = x + 1, one initializer."""
    one = numpy_helper.from_array(np.ones(2, np.float32), "one")
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Add", ["x", "one"], ["y"], name="add")], "tiny", [x], [y], [one])
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty folder with a name of its own."""
    path = tmp_path / "models"
    path.mkdir()
    return path


@pytest.fixture
def place(root: Path) -> Place:
    """`place("digits/1/model.onnx")` puts a model there, below `root`."""
    data = tiny_model().SerializeToString()

    def put(relative: str) -> Path:
        path = root / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    return put


@pytest.fixture
def model() -> onnx.ModelProto:
    return tiny_model()
