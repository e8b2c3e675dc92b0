"""Small models for tests, each with an answer that can be worked out by hand."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper

__all__ = [
    "KINDS",
    "add_one",
    "affine",
    "constant_of_shape",
    "convolution",
    "countdown",
    "identity",
    "long_to_open",
    "model",
    "save",
    "simple",
    "tensor",
    "value",
    "with_external_data",
]

OPSET = 17
IR_VERSION = 8

KINDS: Mapping[str, int] = {
    "BOOL": TensorProto.BOOL,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BF16": TensorProto.BFLOAT16,
    "BYTES": TensorProto.STRING,
}
"""ONNX's number of each datatype of the protocol."""


def value(name: str, kind: int, shape: Sequence[int | str | None] | None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def tensor(name: str, data: ArrayLike, dtype: str = "float32") -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(data, dtype), name)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    weights: Sequence[onnx.TensorProto] = (),
) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "test", inputs, outputs, list(weights))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def save(proto: onnx.ModelProto, folder: Path, *, version: int = 1, toml: str = "") -> Path:
    """Writes `<folder>/<version>/model.onnx` and, if given, `<folder>/model.toml`. Returns the model file."""
    path = folder / str(version) / "model.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(proto.SerializeToString())
    if toml:
        (folder / "model.toml").write_text(toml)
    return path


def add_one() -> onnx.ModelProto:
    """Input x FP32[N,2] → output y = x + 1."""
    return model(
        [helper.make_node("Add", ["x", "one"], ["y"], name="add")],
        [value("x", TensorProto.FLOAT, ["N", 2])],
        [value("y", TensorProto.FLOAT, ["N", 2])],
        [tensor("one", [1.0])],
    )


def with_external_data() -> onnx.ModelProto:
    """`add_one` with its 1 in one.bin beside it."""
    proto = add_one()
    (one,) = proto.graph.initializer
    one.ClearField("raw_data")
    one.data_location = TensorProto.EXTERNAL
    one.external_data.add(key="location", value="one.bin")
    return proto


def affine() -> onnx.ModelProto:
    """Input x FP32[N,2] → output y = 2 x + 1."""
    return model(
        [
            helper.make_node("Mul", ["x", "two"], ["doubled"], name="mul"),
            helper.make_node("Add", ["doubled", "one"], ["y"], name="add"),
        ],
        [value("x", TensorProto.FLOAT, ["N", 2])],
        [value("y", TensorProto.FLOAT, ["N", 2])],
        [tensor("two", [2.0]), tensor("one", [1.0])],
    )


def simple() -> onnx.ModelProto:
    """The model of Triton's examples: INT32[1,16] INPUT0, INPUT1 → OUTPUT0 their sum, OUTPUT1 their difference."""
    names = ("INPUT0", "INPUT1"), ("OUTPUT0", "OUTPUT1")
    return model(
        [
            helper.make_node("Add", list(names[0]), ["OUTPUT0"], name="sum"),
            helper.make_node("Sub", list(names[0]), ["OUTPUT1"], name="difference"),
        ],
        [value(name, TensorProto.INT32, [1, 16]) for name in names[0]],
        [value(name, TensorProto.INT32, [1, 16]) for name in names[1]],
    )


def identity(kind: int, shape: Sequence[int | str | None] | None) -> onnx.ModelProto:
    """Input x → output y, the same."""
    return model(
        [helper.make_node("Identity", ["x"], ["y"], name="same")],
        [value("x", kind, shape)],
        [value("y", kind, shape)],
    )


def convolution(middle: str) -> onnx.ModelProto:
    """Input x FP32[1,1,8,8] → Conv `conv` → Relu `relu` → the operator `middle` → Sigmoid `sigmoid` → y."""
    return model(
        [
            helper.make_node("Conv", ["x", "kernel"], ["a"], name="conv", pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["a"], ["b"], name="relu"),
            helper.make_node(middle, ["b"], ["c"], name=middle.lower()),
            helper.make_node("Sigmoid", ["c"], ["y"], name="sigmoid"),
        ],
        [value("x", TensorProto.FLOAT, [1, 1, 8, 8])],
        [value("y", TensorProto.FLOAT, None)],
        [tensor("kernel", np.ones((1, 1, 3, 3)))],
    )


def countdown() -> onnx.ModelProto:
    """Input n INT64[] → output y FP32[]: 1, added up n times in a Loop; a run that lasts as long as n says."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["still"], name="go_on"),
            helper.make_node("Add", ["sum", "one"], ["next"], name="step"),
        ],
        "body",
        [
            value("i", TensorProto.INT64, []),
            value("go_on", TensorProto.BOOL, []),
            value("sum", TensorProto.FLOAT, []),
        ],
        [value("still", TensorProto.BOOL, []), value("next", TensorProto.FLOAT, [])],
        [tensor("one", 1.0)],
    )
    return model(
        [helper.make_node("Loop", ["n", "true", "zero"], ["y"], name="loop", body=body)],
        [value("n", TensorProto.INT64, [])],
        [value("y", TensorProto.FLOAT, [])],
        [tensor("true", True, "bool"), tensor("zero", 0.0)],
    )


def long_to_open(nodes: int = 10_000) -> onnx.ModelProto:
    """Input x FP32[N,2] → output y = x + `nodes`, one at a time: ONNX Runtime takes a second to go over the graph."""
    names = ["x", *(f"x{number}" for number in range(1, nodes)), "y"]
    return model(
        [helper.make_node("Add", [a, "one"], [b], name=f"add_{b}") for a, b in pairwise(names)],
        [value("x", TensorProto.FLOAT, ["N", 2])],
        [value("y", TensorProto.FLOAT, ["N", 2])],
        [tensor("one", [1.0])],
    )


def constant_of_shape() -> onnx.ModelProto:
    """Input shape INT64[1] → output y FP32[shape] of zeros: as large as its caller says."""
    return model(
        [helper.make_node("ConstantOfShape", ["shape"], ["y"], name="zeros")],
        [value("shape", TensorProto.INT64, [1])],
        [value("y", TensorProto.FLOAT, ["N"])],
    )
