"""Plugins that run on any x86-64 CPU: ggml, and QNN with Qualcomm's emulator of its NPU."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ortolan_backends.catalog import Catalog
from ortolan_backends.contract import Availability
from ortolan_backends.runtime.log import RuntimeLog
from ortolan_backends.runtime.model import ModelFile, read_model
from ortolan_backends.runtime.session import RunHandle
from ortolan_backends.runtime.trial import try_backend
from ortolan_server.chains.registry import Registry
from ortolan_server.chains.report import ChainReport
from ortolan_server.repository import parse_model_toml
from tests.serving import ENTRY

ON_GGML = pytest.mark.plugin("onnxruntime-ggml")
ON_QNN = pytest.mark.plugin("onnxruntime-qnn")


@pytest.fixture
def mixed(tmp_path: Path) -> ModelFile:
    """Two nodes that accelerators have, and one that they have not."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["z"], name="matmul"),
        helper.make_node("Relu", ["z"], ["y"], name="relu"),
        helper.make_node("NonZero", ["y"], ["places"], name="nonzero"),
    ]
    outputs = [
        helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 2]),
        helper.make_tensor_value_info("places", TensorProto.INT64, [2, None]),
    ]
    weight = helper.make_tensor("w", TensorProto.FLOAT, [2, 2], [1.0, 2.0, 3.0, 4.0])
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 2])
    graph = helper.make_graph(nodes, "mixed", [value], outputs, [weight])
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return read_model(path)


def climb(log: RuntimeLog, model: ModelFile, **rung: object) -> ChainReport:
    registry = Registry(Catalog.from_entry_points(), log)
    config = parse_model_toml({"chain": [rung, {"provider": "cpu"}]}, "test")
    return registry.open(model, registry.compose(config, "test"))


def assert_two_of_three_on(report: ChainReport, provider: str) -> None:
    assert report.assignment is not None, report.verdict.reasons
    assert (report.provider, report.assignment.count(provider)) == (report.chain.rungs[0].name, 2)
    assert report.assignment.count("CPUExecutionProvider") == 1
    assert report.session is not None
    (y,) = report.session.run({"x": np.array([[1, 0], [0, -1]], np.float32)}, ["y"], RunHandle())
    np.testing.assert_allclose(y.astype(np.float32), [[1, 2], [0, 0]], rtol=1e-2)


def assert_refused_at_read(report: ChainReport) -> None:
    refused = report.attempts[0]
    assert refused.stage == "read", refused
    assert "none of the model's nodes: 3 on CPUExecutionProvider" in refused.reason


@ON_GGML
def test_ggml_sees_the_options_it_is_given() -> None:
    trial = try_backend("ggml", {"threads": 2, "partial": True, "device": "cpu"})
    assert trial.ran, trial.finding
    assert "device: Cpu, threads: 2, partial: true" in trial.log


@ON_GGML
def test_ggml_takes_parts_of_a_model_when_it_may(runtime_log: RuntimeLog, mixed: ModelFile) -> None:
    assert_two_of_three_on(climb(runtime_log, mixed, provider="ggml", partial=True), "GgmlExecutionProvider")


@ON_GGML
def test_ggml_refuses_a_model_that_it_cannot_take_whole(runtime_log: RuntimeLog, mixed: ModelFile) -> None:
    assert_refused_at_read(climb(runtime_log, mixed, provider="ggml"))


@ON_QNN
def test_qnn_is_available_through_its_emulator() -> None:
    probe = Catalog.from_entry_points().get("qnn").probe()
    assert probe.availability is Availability.AVAILABLE, probe.reason
    assert probe.devices


@ON_QNN
def test_qnn_takes_what_it_can(runtime_log: RuntimeLog, mixed: ModelFile) -> None:
    assert_two_of_three_on(climb(runtime_log, mixed, provider="qnn"), "QNNExecutionProvider")


@ON_QNN
@pytest.mark.parametrize("backend_type", ["cpu", "gpu"])
def test_qnn_registered_and_without_a_node_is_refused(
    runtime_log: RuntimeLog, mixed: ModelFile, backend_type: str
) -> None:
    assert_refused_at_read(climb(runtime_log, mixed, provider="qnn", backend_type=backend_type))


@ON_QNN
def test_what_qnn_prints_does_not_spoil_the_json_of_a_plan(mixed: ModelFile) -> None:
    command = [sys.executable, "-c", ENTRY, "plan", str(mixed.path), "--chain", "qnn,cpu", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["serving_provider"] == "qnn"
    assert "LIBNATIVE" in done.stderr  # it still prints
