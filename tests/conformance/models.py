"""The models that conformance is tried on, with what numpy says they answer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from tests import models

__all__ = ["ENDLESS", "TWICE", "twice", "twice_model", "write_repository"]

ENDLESS = 2**60
"""Rounds of `count` that no call waits for."""

# The ends of each type's range, and what is lost when a byte goes astray.
TWICE: Mapping[str, NDArray[Any]] = {
    "BOOL": np.array([[True, False, True]]),
    "INT8": np.array([[-128, 0, 127]], np.int8),
    "INT16": np.array([[-(2**15), 1, 2**15 - 1]], np.int16),
    "INT32": np.array([[-(2**31), 2, 2**31 - 1]], np.int32),
    "INT64": np.array([[-(2**63), 3, 2**63 - 1]], np.int64),
    "UINT8": np.array([[0, 4, 255]], np.uint8),
    "UINT16": np.array([[0, 5, 2**16 - 1]], np.uint16),
    "UINT32": np.array([[0, 6, 2**32 - 1]], np.uint32),
    "UINT64": np.array([[0, 7, 2**64 - 1]], np.uint64),
    "FP16": np.array([[-65504, 0.5, np.inf]], np.float16),
    "FP32": np.array([[-3.5, 1e-38, np.nan]], np.float32),
    "FP64": np.array([[-3.5, 1e-308, np.inf]], np.float64),
    "BF16": np.array([[-3.5, 1.0078125, np.inf]], ml_dtypes.bfloat16),
    "BYTES": np.array([["", "Käse 🧀", "a\0b"]], object),
}
"""An input FP32[1,3] or of another datatype for each of the models `twice_…`."""


def twice(x: NDArray[Any]) -> NDArray[Any]:
    """What a model `twice_…` answers."""
    return np.concatenate([x, x], axis=1)


def twice_model(datatype: str) -> str:
    return f"twice_{datatype.lower()}"


def write_repository(folder: Path) -> None:
    """Writes every model there; `broken` cannot be loaded, and is not required for the server to be ready."""
    for datatype, kind in models.KINDS.items():
        models.save(_twice(kind), folder / twice_model(datatype))
    for name, proto in (_arithmetic() | _picky()).items():
        models.save(proto, folder / name)
    broken = folder / "broken" / "1" / "model.onnx"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"this is no model")
    (folder / "broken" / "model.toml").write_text("required = false\n")
    # Refused otherwise: INT_MIN / -1 ends ONNX Runtime's process.
    (folder / "divide" / "model.toml").write_text("trust_inputs = true\n")


def _twice(kind: int) -> onnx.ModelProto:
    return models.model(
        [helper.make_node("Concat", ["x", "x"], ["y"], axis=1)],
        [models.value("x", kind, ["N", 3])],
        [models.value("y", kind, ["N", 6])],
    )


def _arithmetic() -> dict[str, onnx.ModelProto]:
    """`simple`, `add_one`; `scalar`: y = x + 1; `add_one_bf16` likewise; `sum`: two inputs with the same N."""
    bfloat16, fp32 = TensorProto.BFLOAT16, TensorProto.FLOAT
    return {
        "simple": models.simple(),
        "add_one": models.add_one(),
        "scalar": models.model(
            [helper.make_node("Add", ["x", "one"], ["y"])],
            [models.value("x", fp32, [])],
            [models.value("y", fp32, [])],
            [models.tensor("one", 1.0)],
        ),
        "add_one_bf16": models.model(
            [
                helper.make_node("Cast", ["x"], ["wide"], to=fp32),
                helper.make_node("Add", ["wide", "one"], ["sum"]),
                helper.make_node("Cast", ["sum"], ["y"], to=bfloat16),
            ],
            [models.value("x", bfloat16, ["N"])],
            [models.value("y", bfloat16, ["N"])],
            [models.tensor("one", 1.0)],
        ),
        "sum": models.model(
            [helper.make_node("Add", ["a", "b"], ["y"])],
            [models.value(name, fp32, ["N", "M"]) for name in "ab"],
            [models.value("y", fp32, ["N", "M"])],
        ),
        "any_rank": models.identity(fp32, None),
        "text": models.identity(TensorProto.STRING, ["N"]),
        "count": _count(),
    }


def _count() -> onnx.ModelProto:
    """Counts to n, one round of a loop for each: a run that can be stopped, and lasts as long as is asked for."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["go_on"]),
            helper.make_node("Add", ["so_far", "step"], ["more"]),
        ],
        "body",
        [
            models.value("round", TensorProto.INT64, []),
            models.value("going", TensorProto.BOOL, []),
            models.value("so_far", TensorProto.INT64, []),
        ],
        [models.value("go_on", TensorProto.BOOL, []), models.value("more", TensorProto.INT64, [])],
    )
    return models.model(
        [helper.make_node("Loop", ["n", "", "zero"], ["y"], body=body)],
        [models.value("n", TensorProto.INT64, [])],
        [models.value("y", TensorProto.INT64, [])],
        [models.tensor("zero", 0, "int64"), models.tensor("step", 1, "int64")],
    )


def _picky() -> dict[str, onnx.ModelProto]:
    """Models whose kernels refuse values that no shape or datatype tells of."""
    fp32, int64, any_rank = TensorProto.FLOAT, TensorProto.INT64, None
    x = models.value("x", fp32, ["N"])
    indices = models.value("indices", int64, ["M"])
    return {
        "gather": models.model(
            [helper.make_node("Gather", ["x", "indices"], ["y"])], [x, indices], [models.value("y", fp32, any_rank)]
        ),
        "reshape": models.model(
            [helper.make_node("Reshape", ["x", "indices"], ["y"])], [x, indices], [models.value("y", fp32, any_rank)]
        ),
        "expand": models.model(
            [helper.make_node("Expand", ["x", "indices"], ["y"])], [x, indices], [models.value("y", fp32, any_rank)]
        ),
        "tile": models.model(
            [helper.make_node("Tile", ["x", "indices"], ["y"])], [x, indices], [models.value("y", fp32, any_rank)]
        ),
        "divide": models.model(
            [helper.make_node("Div", ["a", "b"], ["y"])],
            [models.value(name, TensorProto.INT32, ["N"]) for name in "ab"],
            [models.value("y", TensorProto.INT32, ["N"])],
        ),
        "range": models.model(
            [helper.make_node("Range", ["start", "limit", "delta"], ["y"])],
            [models.value(name, int64, []) for name in ("start", "limit", "delta")],
            [models.value("y", int64, ["R"])],
        ),
        "parse": models.model(
            [helper.make_node("Cast", ["x"], ["y"], to=fp32)],
            [models.value("x", TensorProto.STRING, ["N"])],
            [models.value("y", fp32, ["N"])],
        ),
    }
