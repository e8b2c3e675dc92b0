"""Real benches of small models: a process for each chain, of which some crash, hang, or never open."""

import os
import platform
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ortolan_server.allocation import Allocation
from ortolan_server.bench.report import BenchReport, Row, RowState
from ortolan_server.bench.runner import BenchJob, Progress
from ortolan_server.bench.subject import look_at_subject
from ortolan_server.errors import InvalidConfig
from tests import models
from tests.backends.third_party import ECHO, install
from tests.server.bench.benching import children, job, run


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The backend `echo`, the CPU under another name, is installed here and in processes that are started."""
    folder = tmp_path_factory.mktemp("third_party")
    environment = install(ECHO, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", environment["PYTHONPATH"])
        patch.syspath_prepend(folder)
        yield


@pytest.fixture(scope="module")
def steps() -> list[Progress]:
    return []


@pytest.fixture(scope="module")
def took_s() -> list[float]:
    """How long `report` took, once it is there."""
    return []


@pytest.fixture(scope="module")
def report(
    tmp_path_factory: pytest.TempPathFactory, echo: None, steps: list[Progress], took_s: list[float]
) -> BenchReport:
    """Of three chains, one of which is killed in its second round."""
    folder = tmp_path_factory.mktemp("repository") / "add_one"
    models.save(models.add_one(), folder)

    def on_progress(progress: Progress) -> None:
        steps.append(progress)
        if (progress.chain, progress.stage) == ("echo", "round 2 of 2, batch size 8"):
            os.kill(children()[-1], signal.SIGSEGV)

    began_s = time.monotonic()
    made = run(job(folder, "directml", "cpu", "echo", batch_sizes=(1, 8)), on_progress)
    took_s.append(time.monotonic() - began_s)
    return made


def row(report: BenchReport, name: str) -> Row:
    return next(row for row in report.rows if row.name == name)


def test_rows_stand_in_the_order_given(report: BenchReport) -> None:
    assert [row.name for row in report.rows] == ["directml", "cpu", "echo"]
    assert [row.state for row in report.rows] == ["REFUSED", "MEASURED", "CRASHED"]


def test_the_reference_has_all_figures(report: BenchReport, took_s: list[float]) -> None:
    cpu = row(report, "cpu")
    assert (cpu.serving_provider, cpu.verdict, cpu.hardware, cpu.reason) == ("cpu", "KEPT", "cpu", "")
    assert cpu.threads == Allocation.of_this_machine().cores
    assert cpu.assignment is not None
    assert (cpu.assignment.nodes, cpu.assignment.node_share) == ({"cpu": 1}, 1.0)
    assert cpu.load_s is not None
    assert cpu.first_run_s is not None
    assert cpu.first_run_s > 0
    assert cpu.load_s > 0
    assert cpu.first_run_s + cpu.load_s < took_s[0]
    assert cpu.peak_memory_bytes is not None
    assert cpu.load_memory_bytes is not None
    assert cpu.load_memory_bytes < cpu.peak_memory_bytes
    assert [figures.batch_size for figures in cpu.batches] == [1, 8]
    for figures in cpu.batches:
        assert figures.runs >= 2 * 5
        assert 0 < figures.p50_s <= figures.p99_s
        assert 0 < figures.rows_per_s_low <= figures.rows_per_s <= figures.rows_per_s_high
        # No run takes less than nothing, and half of them take the median or more.
        assert figures.rows_per_s_low <= 2 * figures.batch_size / figures.p50_s
        assert 0 < figures.cpu_s_per_row < 1
    assert cpu.differences == ()


def test_a_refused_chain_keeps_its_row_and_reason(report: BenchReport) -> None:
    refused = row(report, "directml")
    assert "Windows" in refused.reason + refused.mend
    assert (refused.verdict, refused.serving_provider, refused.batches) == ("BROKEN", "", ())
    assert refused.load_s is None


def test_a_crash_loses_one_row_and_leaves_it_what_was_known(report: BenchReport) -> None:
    crashed = row(report, "echo")
    assert crashed.reason == "ended by SIGSEGV while measuring batch size 8"
    assert [figures.batch_size for figures in crashed.batches] == [1, 8]
    assert crashed.load_s is not None
    assert crashed.device == "a valley"
    assert children() == []
    (difference,) = crashed.differences
    assert (difference.output, difference.equal, difference.within_tolerance) == ("y", True, True)


def test_the_report_says_what_was_measured_and_what_to_do(report: BenchReport) -> None:
    (fed,) = report.plan.inputs
    assert (fed.name, fed.datatype, fed.shape, fed.source) == ("x", "FP32", (1, 2), "random")
    assert (report.plan.batch_sizes, report.plan.batch_axis, report.plan.random_operators) == ((1, 8), True, ())
    assert report.recommendation is not None
    assert report.recommendation.chain == ("cpu",)
    assert set(report.recommendation.findings) == {"directml", "echo"}
    assert BenchReport.model_validate_json(report.model_dump_json()) == report


def test_progress_counts_up_to_a_total_that_is_known(report: BenchReport, steps: list[Progress]) -> None:
    total = 3 * (1 + 2 + 2 * 2)
    assert {step.total for step in steps} == {total}
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert steps[0] == Progress("cpu", "opening", 0, total)
    assert steps[-1] == Progress("", "", total, total)


def test_a_crash_of_the_reference_leaves_no_recommendation(tmp_path: Path) -> None:
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("only x86 traps on integer division")
    inputs = [models.value(name, TensorProto.INT32, [1]) for name in "ab"]
    node = helper.make_node("Div", ["a", "b"], ["y"], name="quotient")
    proto = models.model([node], inputs, [models.value("y", TensorProto.INT32, [1])])
    models.save(proto, tmp_path / "trap", toml="trust_inputs = true")
    np.save(tmp_path / "a.npy", np.array([-(2**31)], np.int32))
    np.save(tmp_path / "b.npy", np.array([-1], np.int32))
    found = run(job(tmp_path / "trap", "cpu", inputs={name: tmp_path / f"{name}.npy" for name in "ab"}))
    (only,) = found.rows
    assert only.state is RowState.CRASHED
    assert only.reason.startswith("ended by SIGFPE while running batch size 1 for the first time")
    assert found.recommendation is None


def test_no_process_is_left_behind_when_it_is_interrupted(tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "add_one")
    seen = []

    def interrupt(progress: Progress) -> None:
        if progress.stage.startswith("round"):
            seen.extend(children())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(job(tmp_path / "add_one"), interrupt)
    assert len(seen) == 1
    assert children() == []


def test_no_process_is_left_behind_when_it_is_interrupted_at_the_end(tmp_path: Path, echo: None) -> None:
    """While the first chain's process, which is stopped, is waited for."""
    models.save(models.add_one(), tmp_path / "add_one")
    interrupt = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))

    def on_progress(progress: Progress) -> None:
        if (progress.chain, progress.stage) == ("echo", "round 1 of 1, batch size 1"):
            os.kill(children()[0], signal.SIGSTOP)
            interrupt.start()

    with pytest.raises(KeyboardInterrupt):
        run(job(tmp_path / "add_one", "cpu", "echo", batch_sizes=(1,), rounds=1), on_progress)
    assert children() == []


TOML = """
[[chain]]
provider = "openvino"
[[chain]]
provider = "cpu"
[require]
"""


@pytest.mark.parametrize(
    ("chain", "providers"),
    [
        ("openvino,cpu", ["openvino", "cpu"]),
        ("cuda,openvino,cpu", ["cuda", "openvino", "cpu"]),
        ("cuda,webgpu,cpu", ["cuda", "cpu"]),
        ("cuda", ["cuda"]),
    ],
)
def test_a_contract_holds_for_its_providers_and_the_first(chain: str, providers: list[str], tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "add_one", toml=TOML + 'provider = ["cpu", "openvino"]\nnode_share = 0.5')
    _, (composed, config) = look_at_subject(job(tmp_path / "add_one", chain)).chains
    assert list(composed.contract.providers) == providers
    assert composed.contract.node_share == 0.5
    assert config.require is not None


def test_the_reference_is_held_to_no_contract(tmp_path: Path, echo: None) -> None:
    models.save(models.add_one(), tmp_path / "add_one", toml=TOML + 'forbid_on_cpu = ["Add"]')
    found = run(job(tmp_path / "add_one", "cpu", "echo"))
    assert (row(found, "cpu").state, row(found, "cpu").verdict) == (RowState.MEASURED, "KEPT")
    assert row(found, "echo").state is RowState.REFUSED
    assert "on the CPU, where the contract forbids them: 1 Add" in row(found, "echo").reason
    assert found.recommendation is not None


def embedding() -> onnx.ModelProto:
    """Input ids INT64[N] → output y FP32[N,2] of a table with three rows, plus noise; words BYTES[N] → said[N]."""
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["a"], name="look_up"),
        helper.make_node("RandomNormalLike", ["a"], ["noise"], name="noise"),
        helper.make_node("Add", ["a", "noise"], ["y"], name="add"),
        helper.make_node("Identity", ["words"], ["said"], name="say"),
    ]
    inputs = [models.value("ids", TensorProto.INT64, ["N"]), models.value("words", TensorProto.STRING, ["N"])]
    outputs = [models.value("y", TensorProto.FLOAT, ["N", 2]), models.value("said", TensorProto.STRING, ["N"])]
    return models.model(nodes, inputs, outputs, [models.tensor("table", np.ones((3, 2)))])


def test_inputs_that_the_model_does_not_take(tmp_path: Path) -> None:
    models.save(embedding(), tmp_path / "embedding")
    with pytest.raises(InvalidConfig, match=r"on the CPU: .*indices.*given as \.npy files"):
        run(job(tmp_path / "embedding", "cpu"))


def test_a_model_that_draws_random_numbers_says_so(tmp_path: Path, echo: None) -> None:
    models.save(embedding(), tmp_path / "embedding")
    np.save(tmp_path / "ids.npy", np.array([0, 2, 1]))
    found = run(job(tmp_path / "embedding", "cpu", "echo", inputs={"ids": tmp_path / "ids.npy"}))
    assert found.plan.random_operators == ("RandomNormalLike",)
    assert [(fed.shape, fed.source) for fed in found.plan.inputs] == [
        ((1,), str(tmp_path / "ids.npy")),
        ((1,), "random"),
    ]
    drawn, said = row(found, "echo").differences
    assert not drawn.within_tolerance
    assert said.equal
    assert found.recommendation is not None
    assert "tolerance" not in str(found.recommendation.findings)


def test_a_batch_axis_that_is_declared_and_not_there(tmp_path: Path) -> None:
    node = helper.make_node("Reshape", ["x", "shape"], ["y"], name="reshape")
    x, y = (models.value(name, TensorProto.FLOAT, ["N", 2]) for name in "xy")
    proto = models.model([node], [x], [y], [models.tensor("shape", [1, 2], "int64")])
    models.save(proto, tmp_path / "fixed")
    found = run(job(tmp_path / "fixed", "cpu"))
    assert found.plan.batch_sizes == (1,)
    assert (found.rows[0].state, found.rows[0].reason) == (RowState.MEASURED, "")
    with pytest.raises(InvalidConfig, match="does not take the inputs at batch size 8 on the CPU"):
        run(job(tmp_path / "fixed", "cpu", batch_sizes=(1, 8)))


def nothing_may_start(progress: Progress) -> None:
    pytest.fail(f"{progress} although it cannot be measured")


@pytest.mark.parametrize(
    ("chains", "changed", "message"),
    [
        (["tpu"], {}, r"chain\[1\]\.provider: no provider 'tpu'"),
        (["cpu", "cuda", "cpu"], {}, "chain cpu is given twice"),
        ([""], {}, "chain '' names no provider; known: coreml, cpu, "),
        ([], {"inputs": {"z": Path("z.npy")}}, "no input 'z'; it takes 'x' FP32"),
        ([], {"inputs": {"x": Path("missing.npy")}}, "missing.npy: .*No such file"),
        ([], {"batch_sizes": (0, 1)}, "batch sizes must be above zero"),
        ([], {"batch_sizes": ()}, "batch sizes must be above zero, at least one of them"),
        ([], {"rounds": 0}, "must be above zero"),
    ],
)
def test_errors_of_use(chains: list[str], changed: dict[str, object], message: str, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "add_one")
    with pytest.raises(InvalidConfig, match=message):
        run(job(tmp_path / "add_one", *chains, **changed), nothing_may_start)


def test_a_model_without_a_batch_axis_has_no_batch_sizes(tmp_path: Path) -> None:
    models.save(models.simple(), tmp_path / "simple")
    wanted: BenchJob = job(tmp_path / "simple", batch_sizes=(1, 8))
    with pytest.raises(InvalidConfig, match="no batch axis .* batch size is 1, not 1, 8"):
        run(wanted, nothing_may_start)
