"""Which models could be ended from outside: worked out by hand, and one tried in a process of its own."""

import platform
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from ortolan_backends.runtime.hazards import find_hazards
from ortolan_backends.runtime.model import read_model
from tests import models

CRASH = """
import os, sys
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
session.run(None, {"a": np.array([-(2**31)], np.int32), "b": np.array([-1], np.int32)})
"""


def division(kind: int, divisor: list[int] | None = None, operator: str = "Div") -> onnx.ModelProto:
    """A model a / b: b is an input, or the constant given."""
    dtype = helper.tensor_dtype_to_np_dtype(kind).name
    inputs = [models.value("a", kind, ["N"])] + ([models.value("b", kind, ["N"])] if divisor is None else [])
    weights = [] if divisor is None else [models.tensor("b", divisor, dtype)]
    node = helper.make_node(operator, ["a", "b"], ["y"], name="quotient")
    return models.model([node], inputs, [models.value("y", kind, ["N"])], weights)


def hazards(proto: onnx.ModelProto, folder: Path) -> list[str]:
    return find_hazards(read_model(models.save(proto, folder)))


@pytest.mark.parametrize("operator", ["Div", "Mod"])
def test_an_integer_divisor_that_a_caller_chooses(operator: str, tmp_path: Path) -> None:
    (found,) = hazards(division(TensorProto.INT32, operator=operator), tmp_path)
    assert "'quotient'" in found


@pytest.mark.parametrize("divisor", [[2], [7, 3]])
def test_a_constant_divisor_is_fine(divisor: list[int], tmp_path: Path) -> None:
    assert hazards(division(TensorProto.INT64, divisor), tmp_path) == []


@pytest.mark.parametrize("divisor", [[-1], [3, 0]])
def test_a_constant_divisor_that_traps_is_not(divisor: list[int], tmp_path: Path) -> None:
    assert len(hazards(division(TensorProto.INT64, divisor), tmp_path)) == 1


def test_floating_point_is_fine(tmp_path: Path) -> None:
    assert hazards(division(TensorProto.FLOAT), tmp_path) == []


def test_a_division_in_a_body_is_found(tmp_path: Path) -> None:
    body = helper.make_graph(
        [helper.make_node("Div", ["a", "b"], ["r"], name="inner")],
        "body",
        [],
        [models.value("r", TensorProto.INT32, ["N"])],
    )
    node = helper.make_node("If", ["c"], ["y"], name="if", then_branch=body, else_branch=body)
    inputs = [models.value(name, TensorProto.INT32, ["N"]) for name in "ab"] + [models.value("c", TensorProto.BOOL, [])]
    found = hazards(models.model([node], inputs, [models.value("y", TensorProto.INT32, ["N"])]), tmp_path)
    assert found
    assert "inner" in found[0]


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="only x86 traps on integer division")
def test_onnx_runtime_still_traps(tmp_path: Path) -> None:
    """When this fails, ONNX Runtime has mended it, and the refusal can go for that version."""
    path = models.save(division(TensorProto.INT32), tmp_path)
    done = subprocess.run([sys.executable, "-c", CRASH, str(path)], capture_output=True, check=False)
    assert done.returncode == -signal.SIGFPE


def _too_few_bytes(proto: onnx.ModelProto) -> None:
    proto.graph.initializer[0].raw_data = b"\x02"


def _unknown_datatype(proto: onnx.ModelProto) -> None:
    proto.graph.initializer[0].data_type = 99


def _constant_without_output(proto: onnx.ModelProto) -> None:
    proto.graph.node.add(op_type="Constant", name="nothing").attribute.add(name="value")


def _no_divisor(proto: onnx.ModelProto) -> None:
    del proto.graph.node[0].input[1]


@pytest.mark.parametrize(
    ("spoil", "found"),
    [(_too_few_bytes, 1), (_unknown_datatype, 1), (_constant_without_output, 0), (_no_divisor, 0)],
)
def test_what_makes_no_sense_is_no_harmless_constant(
    spoil: Callable[[onnx.ModelProto], None], found: int, tmp_path: Path
) -> None:
    proto = division(TensorProto.INT64, [2])
    spoil(proto)
    assert len(hazards(proto, tmp_path)) == found
