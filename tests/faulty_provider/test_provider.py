"""The provider itself: a plugin that computes what the CPU computes, leaks nothing, and knows what it needs."""

import gc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ortolan_backends.errors import InvalidInput
from ortolan_backends.options import parse_options
from ortolan_backends.runtime.assignment import read_assignment
from ortolan_backends.runtime.model import read_model
from ortolan_backends.runtime.ort import onnxruntime
from ortolan_backends.runtime.session import RunHandle, Session
from tests import models
from tests.faulty_provider.building import build_library
from tests.faulty_provider.faulty import PROVIDER, Faulty

OpenFaulty = Callable[[onnx.ModelProto], Session]

FLOAT = TensorProto.FLOAT
LIMIT_KIB = 512
RNG = np.random.default_rng(6)


def weight(name: str, *shape: int) -> TensorProto:
    return models.tensor(name, RNG.normal(size=shape))


def perceptron() -> onnx.ModelProto:
    """Input x FP32[N,4] → output y FP32[N,3]: each operator that the provider has, and one that it has not."""
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["a"], name="transposed", transB=1),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        helper.make_node("MatMul", ["b", "w2"], ["c"], name="product"),
        helper.make_node("Sigmoid", ["c"], ["d"], name="sigmoid"),
        helper.make_node("Mul", ["d", "d"], ["e"], name="square"),
        helper.make_node("Add", ["two", "e"], ["f"], name="scalar"),
        helper.make_node("Tanh", ["f"], ["y"], name="tanh"),
    ]
    weights = [weight("w1", 8, 4), weight("b1", 8), weight("w2", 8, 3), models.tensor("two", 2.0)]
    x, y = models.value("x", FLOAT, ["N", 4]), models.value("y", FLOAT, ["N", 3])
    return models.model(nodes, [x], [y], weights)


def binary(operator: str, left: list[int | str | None], right: list[int | str | None]) -> onnx.ModelProto:
    inputs = [models.value("a", FLOAT, left), models.value("b", FLOAT, right)]
    return models.model([helper.make_node(operator, ["a", "b"], ["y"])], inputs, [models.value("y", FLOAT, None)])


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_it_computes_what_the_cpu_does(open_faulty: OpenFaulty, rows: int) -> None:
    proto = perceptron()
    session = open_faulty(proto)
    x = RNG.normal(size=(rows, 4)).astype(np.float32)
    (y,) = session.run({"x": x}, ["y"], RunHandle())
    cpu = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(y.astype(np.float32), cpu.run(["y"], {"x": x})[0], rtol=1e-5)


def test_its_nodes_are_assigned_to_it(open_faulty: OpenFaulty, tmp_path: Path) -> None:
    model = read_model(models.save(perceptron(), tmp_path / "read"))
    assignment = read_assignment(open_faulty(perceptron()), model, {PROVIDER})
    assert {node.name: node.provider for node in assignment.nodes} == {
        **dict.fromkeys(("transposed", "relu", "product", "sigmoid", "square", "scalar"), PROVIDER),
        "tanh": "CPUExecutionProvider",
    }
    assert [share.fragments for share in assignment.shares if share.provider == PROVIDER] == [6]


@pytest.mark.parametrize(("left", "right"), [((2, 1, 3), (4, 1)), ((3,), (2, 3)), ((), (2,)), ((2, 3), (2, 3))])
def test_shapes_broadcast(open_faulty: OpenFaulty, left: tuple[int, ...], right: tuple[int, ...]) -> None:
    session = open_faulty(binary("Mul", list(left), list(right)))
    a, b = RNG.normal(size=left).astype(np.float32), RNG.normal(size=right).astype(np.float32)
    (y,) = session.run({"a": np.asarray(a), "b": b}, ["y"], RunHandle())
    np.testing.assert_array_equal(y, a * b)


@pytest.mark.parametrize(("operator", "left", "right"), [("Add", (2, 3), (4, 3)), ("MatMul", (2, 3), (4, 3))])
def test_shapes_that_do_not_fit_are_the_callers_fault(
    open_faulty: OpenFaulty, operator: str, left: tuple[int, int], right: tuple[int, int]
) -> None:
    session = open_faulty(binary(operator, ["N", "K"], ["M", "L"]))
    assert [subgraph.ep_name for subgraph in session.assigned_subgraphs()] == [PROVIDER]
    with pytest.raises(InvalidInput):
        session.run({"a": np.zeros(left, np.float32), "b": np.zeros(right, np.float32)}, ["y"], RunHandle())


def test_it_takes_nothing_but_fp32(open_faulty: OpenFaulty) -> None:
    session = open_faulty(models.simple())
    assert {subgraph.ep_name for subgraph in session.assigned_subgraphs()} == {"CPUExecutionProvider"}


def test_a_plain_session_of_onnx_runtime(faulty: Faulty) -> None:
    options = onnxruntime.SessionOptions()
    backend = faulty.backend
    backend.attach(options, parse_options(backend, {"command_file": str(faulty.commands.file)}))
    session = onnxruntime.InferenceSession(models.add_one().SerializeToString(), options, enable_fallback=0)
    assert session.get_providers()[0] == PROVIDER
    assert session.run(None, {"x": np.zeros((1, 2), np.float32)})[0].tolist() == [[1, 1]]
    faulty.commands.say("ep_fail")
    with pytest.raises(onnxruntime.capi.onnxruntime_pybind11_state.EPFail, match="the provider failed"):
        session.run(None, {"x": np.zeros((1, 2), np.float32)})


def test_it_refuses_a_runtime_that_is_too_old(toolchain: Callable[[str], str], tmp_path: Path) -> None:
    library = build_library(toolchain("cc"), tmp_path, "-DAPI_VERSION=999")
    with pytest.raises(Exception, match=f"needs version 999 of ONNX Runtime's API, which {onnxruntime.__version__}"):
        onnxruntime.register_execution_provider_library("DemandingExecutionProvider", str(library))


def resident_kib() -> int:
    gc.collect()
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0])


def grown_kib(doing: Callable[[], object], times: int) -> int:
    before = resident_kib()
    for _ in range(times):
        doing()
    return resident_kib() - before


def test_it_keeps_no_memory(faulty: Faulty, open_faulty: OpenFaulty) -> None:
    session = open_faulty(models.add_one())
    feeds = {"x": np.zeros((3, 2), np.float32)}

    def run() -> object:
        return session.run(feeds, ["y"], RunHandle())

    def opened() -> object:
        return open_faulty(models.add_one())

    for doing, times in ((run, 20_000), (opened, 200)):
        grown_kib(doing, times // 10)  # what is taken once
        assert min(grown_kib(doing, times) for _ in range(2)) < LIMIT_KIB
