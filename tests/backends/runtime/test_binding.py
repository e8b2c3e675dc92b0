"""Outputs that a real session writes where they are wanted."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ortolan_backends.catalog import Catalog
from ortolan_backends.errors import InvalidInput, RunCancelled
from ortolan_backends.options import parse_options
from ortolan_backends.runtime.log import RuntimeLog
from ortolan_backends.runtime.model import read_model
from ortolan_backends.runtime.session import OpenRung, RunHandle, Session, open_session
from tests import models

X = np.array([[1, 2]], np.float32)


def opened(proto: onnx.ModelProto, folder: Path, log: RuntimeLog) -> Session:
    cpu = Catalog.from_entry_points().get("cpu")
    return open_session(read_model(models.save(proto, folder)), [OpenRung(cpu, parse_options(cpu, {}))], log)[0]


def test_the_output_is_where_it_was_wanted(tmp_path: Path, runtime_log: RuntimeLog) -> None:
    y = np.zeros_like(X)
    (came,) = opened(models.add_one(), tmp_path, runtime_log).run_into({"x": X}, ["y"], [y], RunHandle())
    assert came is y
    assert y.tolist() == [[2, 3]]


def test_another_shape_comes_as_it_is(tmp_path: Path, runtime_log: RuntimeLog) -> None:
    """And what was wanted is never relied on again."""
    session = opened(models.add_one(), tmp_path, runtime_log)
    y = np.zeros((2, 2), np.float32)
    (came,) = session.run_into({"x": X}, ["y"], [y], RunHandle())
    assert came.tolist() == [[2, 3]]
    assert not y.any()
    (came,) = session.run_into({"x": X}, ["y"], [np.zeros_like(X)], RunHandle())
    assert came.tolist() == [[2, 3]]


def test_an_input_that_is_an_output(tmp_path: Path, runtime_log: RuntimeLog) -> None:
    """ONNX Runtime hands it on without a look at where it was wanted."""
    x, y = models.value("x", TensorProto.FLOAT, ["N", 2]), models.value("y", TensorProto.FLOAT, ["N", 2])
    proto = models.model([helper.make_node("Neg", ["x"], ["y"], name="minus")], [x], [x, y])
    into = [np.zeros_like(X), np.zeros_like(X)]
    came = opened(proto, tmp_path, runtime_log).run_into({"x": X}, ["x", "y"], into, RunHandle())
    assert came[0].tolist() == [[1, 2]]
    assert came[1] is into[1]


@pytest.mark.parametrize(("kind", "dtype"), [(TensorProto.BFLOAT16, np.uint16), (TensorProto.STRING, object)])
def test_types_that_cannot_be_bound(tmp_path: Path, runtime_log: RuntimeLog, kind: int, dtype: type) -> None:
    x = np.array(["a", "b"], object) if dtype is object else np.array([1, 2], np.uint16)
    session = opened(models.identity(kind, ["N"]), tmp_path, runtime_log)
    (came,) = session.run_into({"x": x}, ["y"], [np.empty_like(x)], RunHandle())
    assert came.tolist() == x.tolist()


def test_failures_are_those_of_any_run(tmp_path: Path, runtime_log: RuntimeLog) -> None:
    session = opened(models.add_one(), tmp_path, runtime_log)
    y = np.zeros_like(X)
    with pytest.raises(InvalidInput):
        session.run_into({"x": X.astype(np.int32)}, ["y"], [y], RunHandle())
    handle = RunHandle()
    handle.terminate()
    with pytest.raises(RunCancelled):
        session.run_into({"x": X}, ["y"], [y], handle)
    (came,) = session.run_into({"x": X}, ["y"], [y], RunHandle())
    assert came is y
