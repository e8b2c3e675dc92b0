"""Weights beside a model file: a session on the CPU needs no file once it is open."""

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ortolan_backends.cpu import BACKEND
from ortolan_backends.options import parse_options
from ortolan_backends.runtime.log import RuntimeLog
from ortolan_backends.runtime.model import read_model
from ortolan_backends.runtime.session import OpenRung, RunHandle, Session, open_session

ROWS = 4096


def external(name: str, location: str, folder: Path, rows: int = ROWS) -> TensorProto:
    """`rows` of ones, whose data is in a file of its own."""
    tensor = numpy_helper.from_array(np.ones((rows, 4), np.float32), name)
    (folder / location).parent.mkdir(parents=True, exist_ok=True)
    (folder / location).write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return tensor


def gathering(*weights: TensorProto, named: bool = True) -> onnx.ModelProto:
    """The sum of rows i of the weights."""
    nodes = [helper.make_node("Gather", [each.name, "i"], [f"of_{each.name}"], name=each.name) for each in weights]
    nodes.append(helper.make_node("Sum", [f"of_{each.name}" for each in weights], ["y"], name="sum" if named else ""))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("i", TensorProto.INT64, [None])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 4])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def opened(proto: onnx.ModelProto, folder: Path, log: RuntimeLog) -> Session:
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return open_session(read_model(path), [OpenRung(BACKEND, parse_options(BACKEND, {}))], log)[0]


def last_row(session: Session) -> list[float]:
    feeds = {"i": np.array([ROWS - 1])}
    found: list[float] = session.run(feeds, ["y"], RunHandle())[0][0].tolist()
    return found


def mapped(folder: Path) -> list[str]:
    """Files in the folder that this process has a map of."""
    lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    return [line.rpartition("/")[2] for line in lines if f"{folder}/" in line]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="this system does not tell what is mapped")
@pytest.mark.parametrize("named", [True, False], ids=["from its file", "from memory"])
@pytest.mark.parametrize("locations", [("w.bin",), ("data/w.bin", "v.bin")], ids=["one file", "two files"])
def test_files_that_are_cut_or_written_over_are_of_no_matter(
    locations: tuple[str, ...], *, named: bool, tmp_path: Path, runtime_log: RuntimeLog
) -> None:
    weights = [external(f"w{number}", location, tmp_path) for number, location in enumerate(locations)]
    session = opened(gathering(*weights, named=named), tmp_path, runtime_log)
    assert mapped(tmp_path) == []  # else the run below is the end of this process
    for location in locations:
        os.truncate(tmp_path / location, 0)
    assert last_row(session) == [len(locations)] * 4


def test_an_empty_file_of_an_empty_tensor_opens(tmp_path: Path, runtime_log: RuntimeLog) -> None:
    proto = gathering(external("w", "w.bin", tmp_path))
    proto.graph.initializer.append(external("nothing", "empty.bin", tmp_path, rows=0))
    assert last_row(opened(proto, tmp_path, runtime_log)) == [1] * 4


def test_weights_of_a_subgraph_open(tmp_path: Path, runtime_log: RuntimeLog) -> None:
    proto = gathering(external("w", "w.bin", tmp_path))
    branch = gathering(external("inner", "inner.bin", tmp_path)).graph
    del branch.input[:]
    branch.output[0].name = branch.node[-1].output[0] = "z"
    proto.graph.input.append(helper.make_tensor_value_info("c", TensorProto.BOOL, []))
    proto.graph.node.append(helper.make_node("If", ["c"], ["chosen"], "if", then_branch=branch, else_branch=branch))
    proto.graph.output.append(helper.make_tensor_value_info("chosen", TensorProto.FLOAT, [None, 4]))
    session = opened(proto, tmp_path, runtime_log)
    feeds = {"i": np.array([ROWS - 1]), "c": np.array(True)}
    assert [array[0].tolist() for array in session.run(feeds, ["y", "chosen"], RunHandle())] == [[1] * 4] * 2


def constant(value: TensorProto) -> onnx.NodeProto:
    node = helper.make_node("Constant", [], [value.name], name=value.name)
    attribute = node.attribute.add(name="value", type=onnx.AttributeProto.TENSOR)
    attribute.t.CopyFrom(value)
    return node


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "beside an initializer"])
def test_a_value_of_a_constant_node_is_taken_too(tmp_path: Path, runtime_log: RuntimeLog, *, alone: bool) -> None:
    weights = [external(name, f"{name}.bin", tmp_path) for name in ("w", "k")]
    proto = gathering(*weights)
    values = list(proto.graph.initializer[0 if alone else 1 :])
    del proto.graph.initializer[-len(values) :]
    for value in values:
        proto.graph.node.insert(0, constant(value))
    session = opened(proto, tmp_path, runtime_log)
    for path in tmp_path.glob("*.bin"):
        os.truncate(path, 0)
    assert last_row(session) == [2] * 4


def test_a_tensor_that_fits_in_no_model_stays_mapped(tmp_path: Path, runtime_log: RuntimeLog) -> None:
    size_bytes = 2**31 + 16
    weight = external("w", "w.bin", tmp_path)
    weight.dims[0] = size_bytes // 16
    os.truncate(tmp_path / "w.bin", size_bytes)  # with a hole, which takes no room
    session = opened(gathering(weight), tmp_path, runtime_log)
    assert last_row(session) == [1] * 4
