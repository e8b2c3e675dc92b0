"""The numeric check, on a real provider that computes wrong when it is told to."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ortolan_backends.runtime.load_handle import LoadHandle
from ortolan_backends.runtime.log import RuntimeLog
from ortolan_backends.runtime.model import read_model
from ortolan_backends.runtime.session import Session
from ortolan_server.chains.contract import VerdictState
from ortolan_server.chains.load import Load
from ortolan_server.chains.numeric import NumericCheck
from ortolan_server.chains.registry import Registry
from ortolan_server.chains.report import Attempt, AttemptOutcome, ChainReport
from ortolan_server.lifecycle.numeric import AgainstCpu
from ortolan_server.lifecycle.opening import open_model
from ortolan_server.lifecycle.samples import read_samples
from ortolan_server.repository import Failover, ModelToml, Numeric, parse_model_toml
from tests import models
from tests.faulty_provider.faulty import Faulty

OPENED, REFUSED = AttemptOutcome.OPENED, AttemptOutcome.REFUSED


class Opening:
    """Models on the faulty provider, and below it on the CPU."""

    def __init__(self, faulty: Faulty, folder: Path, log: RuntimeLog) -> None:
        self.faulty = faulty
        self._folder = folder
        self.registry = Registry(faulty.catalog(), log, allow_degraded=True)

    def report(self, proto: onnx.ModelProto, *chain: str, **toml: object) -> ChainReport:
        names = chain or ("faulty", "cpu")
        rungs = [self.faulty.rung if name == "faulty" else {"provider": name} for name in names]
        config = parse_model_toml({"chain": rungs, **toml}, "test")
        path = models.save(proto, self._folder)
        return open_model(self.registry, path, self.registry.compose(config, "test"), config, self._folder).report

    def first(self, proto: onnx.ModelProto, **toml: object) -> tuple[Attempt, NumericCheck]:
        attempt = self.report(proto, **toml).attempts[0]
        assert attempt.numeric is not None
        return attempt, attempt.numeric


@pytest.fixture
def opening(faulty: Faulty, tmp_path: Path, runtime_log: RuntimeLog) -> Opening:
    return Opening(faulty, tmp_path / "m", runtime_log)


def test_a_rung_that_computes_right(opening: Opening) -> None:
    attempt, found = opening.first(models.add_one())
    assert (attempt.outcome, found.samples, found.recorded, found.skipped, found.fault) == (OPENED, 3, False, "", "")
    (y,) = found.outputs
    assert (y.output, y.equal, y.top1_agreement) == ("y", True, 1.0)


def test_a_rung_that_computes_wrong_is_refused_with_the_figures(opening: Opening) -> None:
    opening.faulty.commands.say("wrong 0.5")
    report = opening.report(models.add_one())
    top, below = report.attempts
    assert (top.outcome, top.stage) == (REFUSED, "numeric")
    assert top.reason.startswith("output 'y': max abs 0.5, max rel 0.")
    assert top.reason.endswith("; allowed atol 0.001 of the largest value, rtol 0.01")
    assert (below.outcome, below.numeric) == (OPENED, None)
    assert (report.provider, report.verdict.state) == ("cpu", VerdictState.DEGRADED)
    assert report.verdict.reasons[0] == f"rung 1 (faulty) refused at numeric: {top.reason}"


def test_without_a_rung_below_the_way_out_is_told(opening: Opening) -> None:
    opening.faulty.commands.say("wrong 0.5")
    report = opening.report(models.add_one(), "faulty")
    assert (report.session, report.verdict.state) == (None, VerdictState.BROKEN)
    assert "a wider tolerance under [numeric] in its model.toml" in report.verdict.sentence


@pytest.mark.parametrize(
    ("numeric", "outcome"),
    [
        ({"atol": 0.5}, OPENED),
        ({"atol": 0.1, "rtol": 0.0}, REFUSED),
        ({"atol": 0.5, "min_cosine": 1.0}, REFUSED),
        ({"atol": 0.5, "min_top1": 1.0}, OPENED),
    ],
)
def test_the_tolerance_is_the_models_own(opening: Opening, numeric: dict[str, object], outcome: AttemptOutcome) -> None:
    opening.faulty.commands.say("wrong 0.5")
    attempt, _ = opening.first(models.add_one(), numeric=numeric)
    assert attempt.outcome is outcome


def test_what_is_allowed_is_told_as_it_is_written(opening: Opening) -> None:
    opening.faulty.commands.say("wrong 9")
    attempt, _ = opening.first(models.add_one(), numeric={"atol": 0.25, "min_cosine": 0.9, "min_top1": 0.75})
    told = "allowed atol 0.25 of the largest value, rtol 0.01, cosine at least 0.9, top-1 at least 0.75"
    assert attempt.reason.endswith(told)


def test_numbers_that_are_none_are_told_apart(opening: Opening) -> None:
    opening.faulty.commands.say("wrong nan")
    attempt, _ = opening.first(models.add_one())
    assert (attempt.outcome, attempt.stage) == (REFUSED, "numeric")
    assert "not finite at other places" in attempt.reason


def test_a_rung_that_opens_and_does_not_run_is_refused(opening: Opening) -> None:
    for command, told in (
        ("error", "it does not run the inputs that the CPU runs: "),
        ("lost", "the device failed at the first run: "),
    ):
        opening.faulty.commands.say(command)
        report = opening.report(models.add_one())
        assert (report.attempts[0].stage, report.provider) == ("numeric", "cpu")
        assert report.attempts[0].reason.startswith(told)


def labels() -> onnx.ModelProto:
    """Input x FP32[N,2] → output y = x + 1, on the faulty provider, and label INT64[N], 9 × y in whole numbers."""
    proto = models.add_one()
    proto.graph.node.append(helper.make_node("Mul", ["y", "nine"], ["z"], name="mul"))
    proto.graph.node.append(helper.make_node("Cast", ["z"], ["label"], name="cast", to=TensorProto.INT64))
    proto.graph.initializer.append(models.tensor("nine", [9.0]))
    proto.graph.output[0].CopyFrom(models.value("label", TensorProto.INT64, ["N", 2]))
    return proto


def test_whole_numbers_are_the_same_or_not(opening: Opening) -> None:
    opening.faulty.commands.say("wrong 1")
    report = opening.report(labels(), require={"provider": ["faulty"], "node_share": 0.1})
    (top, *_) = report.attempts
    assert top.reason.startswith("output 'label': max abs ")
    assert top.reason.endswith(", the same 0; allowed whole numbers and texts the same at least 0.99")
    report = opening.report(labels(), require={"provider": ["faulty"], "node_share": 0.1}, numeric={"min_equal": 0.0})
    assert report.attempts[0].outcome is OPENED


def test_a_rung_may_refuse_sizes_that_nobody_wrote(opening: Opening) -> None:
    proto = models.add_one()
    for tensor in (proto.graph.input[0], proto.graph.output[0]):
        tensor.CopyFrom(models.value(tensor.name, TensorProto.FLOAT, ["N", "length"]))
    opening.faulty.commands.say("error")
    attempt, found = opening.first(proto)
    assert attempt.outcome is OPENED
    assert found.skipped.startswith("made-up inputs: it refuses: ")
    attempt, _ = opening.first(proto, warmup=[{"inputs": {"x": {"shape": [1, 2]}}}])
    assert (attempt.outcome, attempt.stage) == (REFUSED, "numeric")


def test_recorded_inputs_are_what_it_is_compared_on(opening: Opening, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    np.save(tmp_path / "m" / "x.npy", np.full((40, 2), 99, np.float32))
    warmup = [{"name": "made up"}, {"inputs": {"x": {"file": "x.npy"}}}]
    opening.faulty.commands.say("wrong 0.5")  # of 100
    attempt, found = opening.first(models.add_one(), warmup=warmup)
    assert (attempt.outcome, found.recorded, found.samples) == (OPENED, True, 1)
    assert found.outputs[0].max_rel == pytest.approx(0.005)
    opening.faulty.commands.say("oom_above 32")  # a few rows are enough
    assert opening.first(models.add_one(), warmup=warmup)[0].outcome is OPENED


def test_samples_are_compared_at_the_first_of_their_sizes(opening: Opening) -> None:
    opening.faulty.commands.say("oom_above 4")
    attempt, found = opening.first(models.add_one(), warmup=[{"batch_sizes": [4, 8]}])
    assert (attempt.outcome, found.samples) == (OPENED, 3)
    attempt, _ = opening.first(models.add_one(), warmup=[{"batch_sizes": [8, 16]}])
    assert attempt.outcome is REFUSED


def test_a_chain_of_cpu_alone_is_not_compared(opening: Opening) -> None:
    (attempt,) = opening.report(models.add_one(), "cpu").attempts
    assert attempt.numeric is None


def test_a_session_whose_nodes_are_all_on_the_cpu_is_not_compared(opening: Opening) -> None:
    opening.faulty.commands.say("skip Add")
    (top, below) = opening.report(models.add_one()).attempts
    assert (top.stage, top.numeric, below.numeric) == ("read", None, None)


def drawing() -> onnx.ModelProto:
    proto = models.add_one()
    proto.graph.node.append(helper.make_node("RandomNormalLike", ["x"], ["z"], name="noise"))
    proto.graph.output.append(models.value("z", TensorProto.FLOAT, ["N", 2]))
    return proto


def any_rank() -> onnx.ModelProto:
    proto = models.add_one()
    proto.graph.input[0].CopyFrom(models.value("x", TensorProto.FLOAT, None))
    proto.graph.output[0].CopyFrom(models.value("y", TensorProto.FLOAT, None))
    return proto


@pytest.mark.parametrize(
    ("proto", "numeric", "why"),
    [
        (models.add_one(), {"check": False}, "check = false under [numeric]"),
        (drawing(), {}, "RandomNormalLike draws random numbers"),
        (any_rank(), {}, "made-up inputs: input 'x' may have any shape: give it as a .npy file"),
    ],
    ids=["switched off", "random operator", "any rank"],
)
def test_what_is_not_compared_says_why(
    opening: Opening, proto: onnx.ModelProto, numeric: dict[str, object], why: str
) -> None:
    opening.faulty.commands.say("wrong 1")
    attempt, found = opening.first(proto, numeric=numeric)
    assert (attempt.outcome, found) == (OPENED, NumericCheck(skipped=why))


def test_inputs_that_the_cpu_refuses_say_nothing_of_the_rung(opening: Opening) -> None:
    proto = models.add_one()
    proto.graph.node.append(helper.make_node("Reshape", ["x", "shape"], ["z"], name="reshape"))
    proto.graph.output.append(models.value("z", TensorProto.FLOAT, ["M"]))
    proto.graph.initializer.append(models.tensor("shape", [7], "int64"))
    attempt, found = opening.first(proto)
    assert attempt.outcome is OPENED
    assert found.skipped.startswith("made-up inputs: the CPU refuses: Non-zero status code")


def test_the_cpu_is_asked_once_for_all_sessions_of_a_load(opening: Opening, tmp_path: Path) -> None:
    report = opening.report(models.add_one())
    assert report.session is not None
    assert report.assignment is not None
    asked = []

    def open_on_cpu() -> Session:
        asked.append("cpu")
        return opening.registry.open_on_cpu(read_model(tmp_path / "m" / "1" / "model.onnx"), report.chain, Load())

    against_cpu = AgainstCpu(Numeric(), read_samples(ModelToml(), tmp_path), (), open_on_cpu, LoadHandle(), Failover())
    assert asked == []
    first, second = (against_cpu(report.session, report.assignment) for _ in range(2))
    assert first == second
    assert asked == ["cpu"]
