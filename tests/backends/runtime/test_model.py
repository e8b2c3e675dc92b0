"""What a model file tells before it is opened."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from ortolan_backends.errors import UnservableModel
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


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**31)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda _path: None, "cannot be read: No such file or directory"),
        (Path.touch, "is empty: it has 0 bytes"),
        (Path.mkdir, "is not a plain file"),
        (os.mkfifo, "is not a plain file"),
        (_socket, "is not a plain file"),
        (lambda path: path.symlink_to("/dev/zero"), "is not a plain file"),
        (lambda path: path.symlink_to(path.name), "cannot be read: Too many levels of symbolic links"),
        (
            _sparse,
            "has 2147483648 bytes; a model has at most 2147483647, and larger weights in files beside it",
        ),
        (lambda path: path.write_bytes(add_one().SerializeToString()[:-1]), "is not a readable ONNX model: "),
        (lambda path: path.write_text("no model"), "is not a readable ONNX model: "),
    ],
    ids=["missing", "empty", "folder", "pipe", "socket", "device", "loop of links", "huge", "truncated", "text"],
)
def test_what_is_no_model_is_told_and_waited_for_by_nobody(
    make: Callable[[Path], object], fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    path = Path("model.onnx")
    make(path)
    with pytest.raises(UnservableModel) as raised:
        read_model(path)
    assert raised.value.reason.startswith(f"model.onnx {fault}")
