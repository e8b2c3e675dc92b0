"""One chain whose process hangs, is killed, says much, or fails after a while."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from ortolan_server.bench.arrays import write_arrays
from ortolan_server.bench.contender import Contender
from ortolan_server.bench.report import RowState
from ortolan_server.bench.subject import Subject, look_at_subject
from tests import models
from tests.server.bench.benching import children, job

LONG_S = 60.0
ONE_TURN_S = 1e-6  # as few runs as a turn may have


@contextmanager
def opened(proto: onnx.ModelProto, folder: Path, *batch_sizes: int) -> Iterator[tuple[Contender, Subject]]:
    """The CPU's contender of a bench of this model."""
    models.save(proto, folder / "model")
    subject = look_at_subject(job(folder / "model", "cpu", batch_sizes=batch_sizes))
    inputs = folder / "inputs.npz"
    write_arrays(inputs, subject.arrays.values())
    ((chain, config),) = subject.chains
    contender = Contender(chain, config, folder / "contender", mend_run="other inputs")
    try:
        contender.open(subject.model.path, inputs, batch_axis=True, timeout_s=LONG_S)
        assert contender.state is None
        yield contender, subject
    finally:
        contender.kill()


def fails_sometime(seed: float) -> onnx.ModelProto:
    """Input x FP32[N,2] → output y = x, as long as a random number is below 7.96 / N; after that a run fails."""
    nodes = [
        helper.make_node("Shape", ["x"], ["rows"], name="shape", start=0, end=1),
        helper.make_node("Cast", ["rows"], ["n"], name="as_float", to=TensorProto.FLOAT),
        helper.make_node("RandomUniform", [], ["random"], name="random", shape=[1], seed=seed),
        helper.make_node("Mul", ["random", "n"], ["spread"], name="spread"),
        helper.make_node("Div", ["spread", "limit"], ["place"], name="place"),
        helper.make_node("Cast", ["place"], ["index"], name="as_index", to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "index"], ["zero"], name="look_up"),
        helper.make_node("Add", ["x", "zero"], ["y"], name="add"),
    ]
    x, y = (models.value(name, TensorProto.FLOAT, ["N", 2]) for name in "xy")
    return models.model(nodes, [x], [y], [models.tensor("limit", [7.96]), models.tensor("table", [0.0])])


def measure_until_it_fails(contender: Contender, size: int) -> int:
    """Returns how many turns went well."""
    for turns in range(1000):
        contender.measure(size, ONE_TURN_S)
        if contender.failures:
            return turns
    pytest.fail("it never fails")


@pytest.fixture
def contender_and_subject(tmp_path: Path) -> Iterator[tuple[Contender, Subject]]:
    with opened(models.add_one(), tmp_path, 1) as found:
        yield found


@pytest.fixture
def contender(contender_and_subject: tuple[Contender, Subject]) -> Contender:
    return contender_and_subject[0]


@pytest.fixture
def subject(contender_and_subject: tuple[Contender, Subject]) -> Subject:
    return contender_and_subject[1]


def test_a_process_that_hangs_is_ended(contender: Contender, subject: Subject) -> None:
    (process,) = children()
    os.kill(process, signal.SIGSTOP)
    contender.warm(1, save=True, timeout_s=0.2)
    assert children() == []
    row = contender.row(subject.signature.outputs, contender)
    ending = "did not answer within 0.2 s, and was ended while running batch size 1 for the first time"
    assert (row.state, row.reason) == (RowState.CRASHED, ending)
    assert row.load_s is not None
    assert row.batches == ()


def test_the_memory_killer_is_named(contender: Contender, subject: Subject) -> None:
    contender.warm(1, save=True, timeout_s=LONG_S)
    (process,) = children()
    os.kill(process, signal.SIGKILL)
    contender.measure(1, 0.01)
    row = contender.row(subject.signature.outputs, contender)
    assert row.state is RowState.CRASHED
    assert row.reason.startswith("ended by SIGKILL (perhaps the kernel's memory killer")
    assert row.reason.endswith("while measuring batch size 1")


def test_a_batch_size_that_fails_in_a_later_round_has_no_figures(tmp_path: Path) -> None:
    with opened(fails_sometime(seed=1.0), tmp_path, 1, 8) as (contender, subject):
        for size in (1, 8):
            contender.warm(size, save=True, timeout_s=LONG_S)
        contender.measure(1, ONE_TURN_S)
        assert measure_until_it_fails(contender, 8) > 0
        row = contender.row(subject.signature.outputs, contender)
    assert (row.state, contender.state) == (RowState.MEASURED, None)
    assert [figures.batch_size for figures in row.batches] == [1]
    assert row.reason.startswith("batch size 8: ")


def test_a_smallest_batch_size_that_fails_after_a_while_ran_before(tmp_path: Path) -> None:
    with opened(fails_sometime(seed=1.0), tmp_path, 8) as (contender, subject):
        contender.warm(8, save=True, timeout_s=LONG_S)
        assert measure_until_it_fails(contender, 8) > 0
        row = contender.row(subject.signature.outputs, contender)
    assert (row.state, row.mend, row.batches) == (RowState.REFUSED, "", ())
    assert row.reason.startswith("a run failed: ")


def test_a_model_about_which_onnxruntime_says_much_opens(tmp_path: Path) -> None:
    """A warning for each weight that nothing uses, more than a pipe holds."""
    proto = models.add_one()
    proto.graph.initializer.extend(models.tensor(f"{number}_{'unused' * 40}", [1.0]) for number in range(6000))
    with opened(proto, tmp_path, 1):
        said = (tmp_path / "contender" / "stderr.txt").read_text()
    assert said.count("is not used by any node") == 6000
