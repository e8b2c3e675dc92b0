"""The models of the benchmarks, made from these recipes: shapes as in the field, weights random from a fixed seed.

Speed depends on shapes and operators, not on what weights say; so no model has to be downloaded.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import TensorProto, helper, numpy_helper

__all__ = ["RECIPES", "write_copies", "write_repository"]

_OPSET = 17
_IR_VERSION = 8
_EPSILON = 1e-5

_Array = NDArray[np.generic]


class _Graph:
    """Nodes and weights as they are added; each method gives the name of its result."""

    def __init__(self, seed: int) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._random = np.random.default_rng(seed)

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:  # noqa: ANN401 - as onnx has it
        name = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def constant(self, array: _Array) -> str:
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def random(self, *shape: int, deviation: float) -> str:
        return self.constant((self._random.standard_normal(shape) * deviation).astype(np.float32))

    def linear(self, x: str, inputs: int, outputs: int) -> str:
        weight, bias = self.random(inputs, outputs, deviation=_gain(inputs)), self.random(outputs, deviation=0.02)
        return self.node("Add", self.node("MatMul", x, weight), bias)

    def model(
        self, inputs: Mapping[str, tuple[int, Sequence[int | str]]], output: str, shape: Sequence[int | str]
    ) -> onnx.ModelProto:
        self.nodes.append(helper.make_node("Identity", [output], ["y"], name="y"))
        graph = helper.make_graph(
            self.nodes,
            "benchmark",
            [helper.make_tensor_value_info(name, kind, size) for name, (kind, size) in inputs.items()],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
            self.weights,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)


def _gain(fan_in: int) -> float:
    """The deviation of weights that keep the variance of what goes through them and a rectifier."""
    return float((2.0 / fan_in) ** 0.5)


def tiny() -> onnx.ModelProto:
    """A perceptron of three layers: x FP32[N,12] → y FP32[N,12]. A row is 48 bytes."""
    graph = _Graph(1)
    x = graph.node("Relu", graph.linear("x", 12, 32))
    x = graph.node("Relu", graph.linear(x, 32, 32))
    return graph.model({"x": (TensorProto.FLOAT, ["N", 12])}, graph.linear(x, 32, 12), ["N", 12])


def identity() -> onnx.ModelProto:
    """The same out as in, x FP32[N,M] → y: what tensors cost on their way, and a copy."""
    return _Graph(2).model({"x": (TensorProto.FLOAT, ["N", "M"])}, "x", ["N", "M"])


def convnet() -> onnx.ModelProto:
    """ResNet-50's shape, batch normalisation folded: x FP32[N,3,224,224] → y FP32[N,1000]."""
    graph = _Graph(3)

    def convolution(x: str, shape: tuple[int, int, int], stride: int = 1, *, damped: float = 1.0) -> str:
        inputs, outputs, kernel = shape
        deviation = damped * _gain(inputs * kernel**2)
        weight = graph.random(outputs, inputs, kernel, kernel, deviation=deviation)
        bias = graph.random(outputs, deviation=0.02)
        return graph.node("Conv", x, weight, bias, strides=[stride] * 2, pads=[kernel // 2] * 4)

    def block(x: str, inputs: int, width: int, stride: int, *, project: bool) -> str:
        y = graph.node("Relu", convolution(x, (inputs, width, 1)))
        y = graph.node("Relu", convolution(y, (width, width, 3), stride))
        y = convolution(y, (width, 4 * width, 1), damped=0.25)  # else sums of random branches grow
        shortcut = convolution(x, (inputs, 4 * width, 1), stride) if project else x
        return graph.node("Relu", graph.node("Add", y, shortcut))

    x = graph.node("Relu", convolution("x", (3, 64, 7), 2))
    x = graph.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    channels = 64
    for stage, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for number in range(blocks):
            first = number == 0
            x = block(x, channels, width, 2 if first and stage else 1, project=first)
            channels = 4 * width
    x = graph.node("Flatten", graph.node("GlobalAveragePool", x))
    return graph.model({"x": (TensorProto.FLOAT, ["N", 3, 224, 224])}, graph.linear(x, channels, 1000), ["N", 1000])


class _Size(NamedTuple):
    layers: int = 6
    width: int = 384
    heads: int = 12
    inner: int = 1536
    words: int = 30522
    positions: int = 512


def transformer() -> onnx.ModelProto:
    """MiniLM's shape: ids, mask INT64[N,S] → y FP32[N,384], the mean over the words of a text."""
    graph, size = _Graph(4), _Size()
    length = graph.node("Slice", graph.node("Shape", "ids"), _int64(graph, [1]), _int64(graph, [2]))
    words = graph.node("Gather", graph.random(size.words, size.width, deviation=1.0), "ids")
    places = graph.node("Slice", graph.random(size.positions, size.width, deviation=1.0), _int64(graph, [0]), length)
    x = _normalised(graph, graph.node("Add", words, places), size)
    mask = graph.node("Cast", "mask", to=TensorProto.FLOAT)
    one, low = (graph.constant(np.asarray(value, np.float32)) for value in (1.0, -1e4))
    hidden = graph.node("Mul", graph.node("Sub", one, mask), low)
    hidden = graph.node("Unsqueeze", hidden, _int64(graph, [1, 2]))
    for _ in range(size.layers):
        x = _normalised(graph, graph.node("Add", x, _attention(graph, x, hidden, size)), size)
        inner = _gelu(graph, graph.linear(x, size.width, size.inner))
        x = _normalised(graph, graph.node("Add", x, graph.linear(inner, size.inner, size.width)), size)
    weights = graph.node("Unsqueeze", mask, _int64(graph, [2]))
    total = graph.node("ReduceSum", graph.node("Mul", x, weights), _int64(graph, [1]), keepdims=0)
    count = graph.node("ReduceSum", weights, _int64(graph, [1]), keepdims=0)
    inputs = {name: (TensorProto.INT64, ["N", "S"]) for name in ("ids", "mask")}
    return graph.model(inputs, graph.node("Div", total, count), ["N", size.width])


def _int64(graph: _Graph, values: ArrayLike) -> str:
    return graph.constant(np.asarray(values, np.int64))


def _normalised(graph: _Graph, x: str, size: _Size) -> str:
    scale, bias = np.ones(size.width, np.float32), np.zeros(size.width, np.float32)
    return graph.node("LayerNormalization", x, graph.constant(scale), graph.constant(bias), axis=-1, epsilon=_EPSILON)


def _attention(graph: _Graph, x: str, hidden: str, size: _Size) -> str:
    shape = _int64(graph, [0, 0, size.heads, size.width // size.heads])

    def heads(order: Sequence[int]) -> str:
        return graph.node(
            "Transpose", graph.node("Reshape", graph.linear(x, size.width, size.width), shape), perm=list(order)
        )

    query, key, value = heads((0, 2, 1, 3)), heads((0, 2, 3, 1)), heads((0, 2, 1, 3))
    root = graph.constant(np.asarray((size.width / size.heads) ** 0.5, np.float32))
    scores = graph.node("Add", graph.node("Div", graph.node("MatMul", query, key), root), hidden)
    mixed = graph.node("MatMul", graph.node("Softmax", scores, axis=-1), value)
    joined = graph.node("Reshape", graph.node("Transpose", mixed, perm=[0, 2, 1, 3]), _int64(graph, [0, 0, size.width]))
    return graph.linear(joined, size.width, size.width)


def _gelu(graph: _Graph, x: str) -> str:
    root, one, half = (graph.constant(np.asarray(value, np.float32)) for value in (2**0.5, 1.0, 0.5))
    bell = graph.node("Add", graph.node("Erf", graph.node("Div", x, root)), one)
    return graph.node("Mul", graph.node("Mul", x, bell), half)


RECIPES: Mapping[str, Callable[[], onnx.ModelProto]] = {
    "tiny": tiny,
    "identity": identity,
    "convnet": convnet,
    "transformer": transformer,
}
"""Every model by its name."""

# Rows that our server may put into one run. The other models run a request at a time, as in process.
_LARGEST_BATCH = {"tiny": 64, "transformer": 8}

# Bounds that no case reaches, so that none is answered as overload: the load is to be measured, not refused.
_MODEL_TOML = """\
[[chain]]
provider = "cpu"
threads = {threads}

[limits]
queue = 16384
"""


def write_repository(folder: Path, models: Collection[str], threads: int) -> None:
    """Writes `<folder>/<model>/1/model.onnx` with a model.toml for each. Every server gives a model so many threads."""
    for name in models:
        _write(folder / name, name, RECIPES[name]().SerializeToString(), threads)


def write_copies(folder: Path, model: str, count: int, threads: int) -> None:
    """Writes `count` models `<model>`, `<model>_1`, … that are all the same."""
    data = RECIPES[model]().SerializeToString()
    for number in range(count):
        _write(folder / (f"{model}_{number}" if number else model), model, data, threads)


def _write(folder: Path, recipe: str, data: bytes, threads: int) -> None:
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "model.onnx").write_bytes(data)
    toml = _MODEL_TOML.format(threads=threads)
    if recipe in _LARGEST_BATCH:
        toml += f"\n[batching]\nmax_size = {_LARGEST_BATCH[recipe]}\n"
    (folder / "model.toml").write_text(toml)
