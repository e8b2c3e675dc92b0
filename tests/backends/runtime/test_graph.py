"""The graph behind an assignment, worked out by hand."""

from pathlib import Path

from onnx import TensorProto, helper

from ortolan_backends.runtime.assignment import count_crossings
from ortolan_backends.runtime.graph import graph_at_partitioning, graph_of
from ortolan_backends.runtime.model import read_model
from ortolan_backends.runtime.ort import onnxruntime
from tests import models


def test_shape_operators_are_those_that_compute_on_shapes_alone() -> None:
    graph = graph_of(
        models.model(
            [
                helper.make_node("Shape", ["x"], ["s"], name="shape"),
                helper.make_node("Gather", ["s", "zero"], ["n"], name="gather"),
                helper.make_node("Concat", ["n", "minus"], ["t"], name="concat", axis=0),
                helper.make_node("Reshape", ["x", "t"], ["r"], name="reshape"),
                helper.make_node("Relu", ["r"], ["y"], name="relu"),
            ],
            [models.value("x", TensorProto.FLOAT, ["N", 3])],
            [models.value("y", TensorProto.FLOAT, None)],
            [models.tensor("zero", [0], "int64"), models.tensor("minus", [-1], "int64")],
        )
    )
    assert {name for name, node in graph.nodes.items() if node.shape_only} == {"shape", "gather", "concat"}


def test_parameters_are_counted_at_each_reader() -> None:
    graph = graph_of(
        models.model(
            [
                helper.make_node("MatMul", ["x", "w"], ["a"], name="first"),
                helper.make_node("MatMul", ["a", "w"], ["b"], name="second"),
                helper.make_node("Add", ["b", "bias"], ["y"], name="add"),
            ],
            [models.value("x", TensorProto.FLOAT, ["N", 4])],
            [models.value("y", TensorProto.FLOAT, ["N", 4])],
            [models.tensor("w", [[0.0] * 4] * 4), models.tensor("bias", [0.0] * 4)],
        )
    )
    assert {name: node.parameters for name, node in graph.nodes.items()} == {"first": 16, "second": 16, "add": 4}


def test_sibling_bodies_may_share_names() -> None:
    def body(operator: str) -> object:
        return helper.make_graph(
            [helper.make_node(operator, ["x"], ["r"], name=f"{operator.lower()}")],
            operator,
            [],
            [models.value("r", TensorProto.FLOAT, None)],
        )

    node = helper.make_node("If", ["c"], ["y"], name="if", then_branch=body("Relu"), else_branch=body("Neg"))
    graph = graph_of(
        models.model(
            [node],
            [models.value("c", TensorProto.BOOL, []), models.value("x", TensorProto.FLOAT, ["N"])],
            [models.value("y", TensorProto.FLOAT, None)],
        )
    )
    assert set(graph.nodes) == {"if", "relu", "neg"}
    assert graph.nodes["relu"].reads == ("x",)
    assert graph.nodes["relu"].makes != graph.nodes["neg"].makes


def test_a_tensor_that_crosses_counts_once() -> None:
    graph = graph_of(
        models.model(
            [
                helper.make_node("Relu", ["x"], ["a"], name="relu"),
                helper.make_node("Neg", ["a"], ["b"], name="neg"),
                helper.make_node("Abs", ["a"], ["c"], name="abs"),
                helper.make_node("Add", ["b", "c"], ["y"], name="add"),
            ],
            [models.value("x", TensorProto.FLOAT, ["N"])],
            [models.value("y", TensorProto.FLOAT, ["N"])],
        )
    )
    owners = {"relu": "A", "neg": "B", "abs": "B", "add": "A"}
    assert count_crossings(graph, owners) == 3  # a once, b, c


def test_nodes_without_names_get_unique_ones(tmp_path: Path) -> None:
    proto = models.model(
        [
            helper.make_node("Relu", ["x"], ["a"]),
            helper.make_node("Neg", ["a"], ["b"], name="twin"),
            helper.make_node("Abs", ["b"], ["y"], name="twin"),
        ],
        [models.value("x", TensorProto.FLOAT, ["N"])],
        [models.value("y", TensorProto.FLOAT, ["N"])],
    )
    named = read_model(models.save(proto, tmp_path))
    assert [node.name for node in named.proto.graph.node] == ["Relu:a", "twin", "Abs:y"]
    graph = graph_at_partitioning(named, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL)
    assert graph is not None
    assert list(graph.nodes) == ["Relu:a", "twin", "Abs:y"]
