"""The record held against the graph: what ONNX Runtime 1.31 and newer say of providers that are not on this machine."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from onnx import TensorProto, helper

from ortolan_backends.catalog import Catalog
from ortolan_backends.errors import OpenRefused, UnservableModel
from ortolan_backends.options import parse_options
from ortolan_backends.runtime.assignment import count_crossings
from ortolan_backends.runtime.log import RuntimeLog
from ortolan_backends.runtime.model import ModelFile, read_model
from ortolan_backends.runtime.ort import onnxruntime
from ortolan_backends.runtime.record import Record, read_record
from ortolan_backends.runtime.session import OpenRung, Session, open_session
from tests import models

pytestmark = pytest.mark.wheel("onnxruntime")

CPU, GPU = "CPUExecutionProvider", "WebGpuExecutionProvider"
NHWC = "com.ms.internal.nhwc"


@dataclass
class Native:
    name: str
    op_type: str
    domain: str = ""


@dataclass
class Subgraph:
    ep_name: str
    nodes: Sequence[Native]

    def get_nodes(self) -> Sequence[Native]:
        return self.nodes


@dataclass
class RecordedSession:
    """What `read_record` asks of a session, with a record as another machine would have it."""

    recorded: Sequence[tuple[str, Native]]
    providers: tuple[str, ...] = (GPU, CPU)
    optimization_level: Any = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL

    def assigned_subgraphs(self) -> list[Subgraph]:
        return [Subgraph(provider, [native]) for provider, native in self.recorded]


@pytest.fixture
def model(tmp_path: Path) -> ModelFile:
    """Hardmax `hardmax` → Transpose `to_nchw` → Conv `conv` → Relu `relu`."""
    node = helper.make_node
    proto = models.model(
        [
            node("Hardmax", ["x"], ["h"], name="hardmax"),
            node("Transpose", ["h"], ["t"], name="to_nchw", perm=[0, 3, 1, 2]),
            node("Conv", ["t", "kernel"], ["c"], name="conv"),
            node("Relu", ["c"], ["y"], name="relu"),
        ],
        [models.value("x", TensorProto.FLOAT, [1, 8, 8, 1])],
        [models.value("y", TensorProto.FLOAT, [1, 1, 6, 6])],
        [models.tensor("kernel", np.ones((1, 1, 3, 3)))],
    )
    return read_model(models.save(proto, tmp_path))


def read(model: ModelFile, *recorded: tuple[str, Native]) -> Record:
    return read_record(cast("Session", RecordedSession(recorded)), model, ())


def test_renamed_nodes_are_found_and_inserted_ones_left_out(model: ModelFile) -> None:
    record = read(
        model,
        (CPU, Native("hardmax", "Hardmax")),
        (GPU, Native("to_nchw", "Transpose")),
        (GPU, Native("Transpose", "Transpose")),
        (GPU, Native("conv_token_1", "Conv", NHWC)),
        (GPU, Native("Transpose_token_2", "Transpose")),
        (GPU, Native("relu", "Relu")),
    )
    assert record.owners == {"hardmax": CPU, "to_nchw": GPU, "conv": GPU, "relu": GPU}
    assert {node.domain for node in record.nodes} == {""}
    assert record.inserted == ("Transpose", "Transpose_token_2")
    assert record.complete
    assert count_crossings(record.graph, record.owners) == 1


def test_a_cancelled_transpose_is_no_gap_in_the_graph(model: ModelFile) -> None:
    record = read(
        model,
        (CPU, Native("hardmax", "Hardmax")),
        (GPU, Native("conv_token_1", "Conv", NHWC)),
        (GPU, Native("Transpose_token_2", "Transpose")),
        (GPU, Native("relu", "Relu")),
    )
    assert (record.removed, record.complete) == (("to_nchw",), True)
    assert "to_nchw" not in record.graph.nodes
    assert record.graph.nodes["conv"].reads == ("h",)
    assert count_crossings(record.graph, record.owners) == 1


def test_a_node_that_is_not_on_record_is_said(model: ModelFile) -> None:
    record = read(
        model,
        (CPU, Native("hardmax", "Hardmax")),
        (GPU, Native("conv_token_1", "Conv", NHWC)),
        (GPU, Native("Transpose_token_2", "Transpose")),
    )
    assert record.missing == ("to_nchw", "relu")
    assert not record.complete
    assert not record.knows_all
    assert "2 nodes of the graph are not on record: to_nchw, relu" in record.method


def test_a_node_that_the_graph_has_not_is_said(model: ModelFile) -> None:
    record = read(
        model,
        (CPU, Native("hardmax", "Hardmax")),
        (GPU, Native("to_nchw", "Transpose")),
        (GPU, Native("fused/conv", "FusedConv")),
    )
    assert (record.strangers, record.missing) == (("fused/conv",), ("conv", "relu"))
    assert not record.complete
    assert len(record.nodes) == 3  # it is listed all the same


def test_one_provider_with_the_model_s_nodes_needs_no_second_look(model: ModelFile) -> None:
    names = {"hardmax": "Hardmax", "to_nchw": "Transpose", "conv": "Conv", "relu": "Relu"}
    record = read(model, *((GPU, Native(name, operator)) for name, operator in names.items()))
    assert (record.lone, record.at_partitioning, record.complete) == (True, False, True)


def test_no_record_at_all_is_a_refusal(model: ModelFile) -> None:
    with pytest.raises(OpenRefused, match="recorded no node, and the model has some"):
        read(model)


def test_a_name_that_is_no_text(tmp_path: Path, runtime_log: RuntimeLog) -> None:
    cpu = Catalog.from_entry_points().get("cpu")
    path = models.save(models.add_one(), tmp_path)
    path.write_bytes(path.read_bytes().replace(b"\x03add", b"\x03a\xffd"))
    model = read_model(path)
    session, _ = open_session(model, [OpenRung(cpu, parse_options(cpu, {}))], runtime_log)
    with pytest.raises(UnservableModel, match="the model has a name that is not UTF-8 text: "):
        read_record(session, model, [])
