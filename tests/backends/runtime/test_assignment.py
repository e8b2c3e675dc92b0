"""Assignments read from open sessions of models whose nodes can be counted by hand."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ortolan_backends.catalog import Catalog
from ortolan_backends.options import parse_options
from ortolan_backends.runtime.assignment import Assignment, read_assignment
from ortolan_backends.runtime.log import RuntimeLog
from ortolan_backends.runtime.model import read_model
from ortolan_backends.runtime.session import OpenRung, open_session
from tests import models

CPU = "CPUExecutionProvider"
OPENVINO = "OpenVINOExecutionProvider"


def assign(proto: onnx.ModelProto, folder: Path, log: RuntimeLog, *providers: str) -> Assignment:
    catalog = Catalog.from_entry_points()
    backends = [catalog.get(name) for name in providers or ("cpu",)]
    model = read_model(models.save(proto, folder))
    session, _ = open_session(model, [OpenRung(backend, parse_options(backend, {})) for backend in backends], log)
    return read_assignment(session, model, [backend.provider for backend in backends if backend.compiles])


def names(assignment: Assignment) -> list[str]:
    return sorted(node.name for node in assignment.nodes)


@pytest.mark.wheel("onnxruntime")
def test_one_provider_has_all(tmp_path: Path, runtime_log: RuntimeLog) -> None:
    found = assign(models.convolution("Neg"), tmp_path, runtime_log)
    (share,) = found.shares
    assert names(found) == ["conv", "neg", "relu", "sigmoid"]
    assert (share.provider, share.node_share, share.parameter_share, share.fragments) == (CPU, 1.0, 1.0, 1)
    assert share.operators == {"Conv": 1, "Neg": 1, "Relu": 1, "Sigmoid": 1}
    assert (found.crossings, found.complete) == (0, True)
    assert found.session_providers == (CPU,)
    assert found.count(CPU) == 4
    assert found.count(OPENVINO) == 0
    assert found.node_share([OPENVINO]) == 0.0


@pytest.mark.wheel("onnxruntime")
def test_inputs_and_outputs_live_in_host_memory(tmp_path: Path, runtime_log: RuntimeLog) -> None:
    found = assign(models.simple(), tmp_path, runtime_log)
    assert [(place.tensor, place.direction, place.memory) for place in found.placements] == [
        ("INPUT0", "input", "Cpu"),
        ("INPUT1", "input", "Cpu"),
        ("OUTPUT0", "output", "Cpu"),
        ("OUTPUT1", "output", "Cpu"),
    ]


def reshaping() -> onnx.ModelProto:
    """Input x FP32[N,4] → Shape, Gather and Concat make [N,2,2] of it → Reshape → Relu → y."""
    node = helper.make_node
    return models.model(
        [
            node("Shape", ["x"], ["s"], name="shape"),
            node("Gather", ["s", "zero"], ["n"], name="gather"),
            node("Concat", ["n", "twos"], ["t"], name="concat", axis=0),
            node("Reshape", ["x", "t"], ["r"], name="reshape"),
            node("Relu", ["r"], ["y"], name="relu"),
        ],
        [models.value("x", TensorProto.FLOAT, ["N", 4])],
        [models.value("y", TensorProto.FLOAT, [None, 2, 2])],
        [models.tensor("zero", [0], "int64"), models.tensor("twos", [2, 2], "int64")],
    )


@pytest.mark.wheel("onnxruntime")
def test_nodes_that_compute_shapes_are_marked(tmp_path: Path, runtime_log: RuntimeLog) -> None:
    found = assign(reshaping(), tmp_path, runtime_log)
    marked = {node.name: node.shape_only for node in found.nodes}
    assert {"shape": True, "gather": True, "concat": True, "reshape": False, "relu": False}.items() >= marked.items()
    assert marked["reshape"] is False


@pytest.mark.wheel("onnxruntime")
def test_nodes_of_both_branches_are_read_one_by_one(tmp_path: Path, runtime_log: RuntimeLog) -> None:
    def branch(operator: str) -> onnx.GraphProto:
        return helper.make_graph(
            [helper.make_node(operator, ["x"], ["r"], name="same name")],
            operator,
            [],
            [models.value("r", TensorProto.FLOAT, [2])],
        )

    proto = models.model(
        [helper.make_node("If", ["go"], ["y"], name="if", then_branch=branch("Neg"), else_branch=branch("Abs"))],
        [models.value("go", TensorProto.BOOL, []), models.value("x", TensorProto.FLOAT, [2])],
        [models.value("y", TensorProto.FLOAT, [2])],
    )
    found = assign(proto, tmp_path, runtime_log)
    assert sorted(node.op_type for node in found.nodes) == ["Abs", "If", "Neg"]
    assert len(set(names(found))) == 3
    assert found.complete


@pytest.mark.wheel("onnxruntime")
def test_the_body_of_a_loop_is_read_too(tmp_path: Path, runtime_log: RuntimeLog) -> None:
    found = assign(models.countdown(), tmp_path, runtime_log)
    assert {"loop", "step"} <= set(names(found))


@pytest.mark.wheel("onnxruntime")
def test_nodes_named_as_if_renamed_keep_their_names(tmp_path: Path, runtime_log: RuntimeLog) -> None:
    proto = models.convolution("Neg")
    for number, node in enumerate(proto.graph.node):
        node.name = f"node_token_{number}"
    found = assign(proto, tmp_path, runtime_log)
    assert names(found) == [f"node_token_{number}" for number in range(4)]


@pytest.mark.wheel("onnxruntime")
def test_nodes_without_names_get_one_each(tmp_path: Path, runtime_log: RuntimeLog) -> None:
    proto = models.convolution("Neg")
    for node in proto.graph.node:
        node.name = ""
    assert names(assign(proto, tmp_path, runtime_log)) == ["Conv:a", "Neg:c", "Relu:b", "Sigmoid:y"]


@pytest.mark.wheel("onnxruntime")
def test_a_model_that_folds_away_has_no_nodes(tmp_path: Path, runtime_log: RuntimeLog) -> None:
    proto = models.model(
        [helper.make_node("Add", ["one", "one"], ["y"], name="add")],
        [],
        [models.value("y", TensorProto.FLOAT, [1])],
        [models.tensor("one", [1.0])],
    )
    found = assign(proto, tmp_path, runtime_log)
    assert (found.shares, found.nodes, found.node_share([OPENVINO])) == ((), (), 1.0)


@pytest.mark.provider
@pytest.mark.wheel("onnxruntime-openvino")
def test_parameters_count_where_they_are_read(tmp_path: Path, runtime_log: RuntimeLog) -> None:
    """MatMul (9 parameters) → Relu → [CDist (12 parameters), which OpenVINO lacks] → Neg → Abs."""
    node = helper.make_node
    proto = models.model(
        [
            node("MatMul", ["x", "w"], ["a"], name="matmul"),
            node("Relu", ["a"], ["b"], name="relu"),
            node("CDist", ["b", "points"], ["c"], name="cdist", domain="com.microsoft"),
            node("Neg", ["c"], ["d"], name="neg"),
            node("Abs", ["d"], ["y"], name="abs"),
        ],
        [models.value("x", TensorProto.FLOAT, ["N", 3])],
        [models.value("y", TensorProto.FLOAT, ["N", 4])],
        [models.tensor("w", np.eye(3)), models.tensor("points", np.arange(12).reshape(4, 3))],
    )
    proto.opset_import.add(domain="com.microsoft", version=1)
    proto.graph.value_info.append(models.value("c", TensorProto.FLOAT, ["N", 4]))  # nobody infers it beyond CDist
    found = assign(proto, tmp_path, runtime_log, "openvino", "cpu")
    shares = {share.provider: share for share in found.shares}
    assert [node.name for node in shares[CPU].nodes] == ["cdist"]
    assert shares[CPU].parameter_share == pytest.approx(12 / 21)
    assert shares[OPENVINO].parameter_share == pytest.approx(9 / 21)
    assert shares[OPENVINO].node_share == pytest.approx(4 / 5)
    assert (shares[OPENVINO].fragments, found.crossings) == (2, 2)
    assert found.complete  # ONNX Runtime 1.24 can leave out nodes: here every node of the graph is on record
