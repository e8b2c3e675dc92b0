"""The climb, with real sessions: what each rung's end leaves behind."""

from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from onnx import helper

from ortolan_backends.runtime.log import RuntimeLog
from ortolan_backends.runtime.model import ModelFile, read_model
from ortolan_server.chains.contract import VerdictState
from ortolan_server.chains.drift import Drift, MovedNode
from ortolan_server.chains.registry import Registry
from ortolan_server.chains.report import AttemptOutcome, ChainReport
from ortolan_server.repository import parse_model_toml
from tests import models
from tests.server.chains.fakes import CPU, LIBRARY_LINE, NOWHERE, catalog, sessions_open
from tests.server.chains.placements import place

OPENED, REFUSED, NOT_NEEDED = AttemptOutcome.OPENED, AttemptOutcome.REFUSED, AttemptOutcome.NOT_NEEDED


@pytest.fixture
def add_one(tmp_path: Path) -> ModelFile:
    return read_model(models.save(models.add_one(), tmp_path))


def climb(registry: Registry, model: ModelFile, *providers: str, **require: object) -> ChainReport:
    document: dict[str, object] = {"chain": [{"provider": name} for name in providers]}
    if require:
        document["require"] = require
    return registry.open(model, registry.compose(parse_model_toml(document, "test"), "test"))


def outcomes(report: ChainReport) -> list[tuple[AttemptOutcome, str]]:
    return [(attempt.outcome, attempt.stage) for attempt in report.attempts]


def test_the_first_rung_that_keeps_the_contract_wins(registry: Registry, add_one: ModelFile) -> None:
    report = climb(registry, add_one, "first", "second", "absent")
    assert outcomes(report) == [(OPENED, ""), (NOT_NEEDED, ""), (NOT_NEEDED, "")]
    assert [attempt.rung for attempt in report.attempts] == [1, 2, 3]
    assert (report.rung, report.provider, report.verdict.state) == (1, "first", VerdictState.KEPT)
    assert report.session is not None
    assert report.assignment is not None
    assert report.assignment.count(CPU) == 1


def test_what_the_probe_found_refuses_with_its_mend(registry: Registry, add_one: ModelFile) -> None:
    report = climb(registry, add_one, "absent", "first", provider=["first"])
    assert outcomes(report) == [(REFUSED, "probe"), (OPENED, "")]
    assert report.attempts[0].reason == "libabsent.so.1 is missing (apt install libabsent1)"
    assert (report.rung, report.verdict.state) == (2, VerdictState.KEPT)


def test_a_degraded_provider_is_tried(registry: Registry, add_one: ModelFile) -> None:
    assert climb(registry, add_one, "ailing").rung == 1


def test_a_failed_attach_tells_what_the_log_says(registry: Registry, add_one: ModelFile) -> None:
    report = climb(registry, add_one, "rootless")
    (attempt,) = report.attempts
    assert (attempt.outcome, attempt.stage) == (REFUSED, "attach")
    assert attempt.reason == f"Provider configuration is not supported. ({LIBRARY_LINE})"
    assert attempt.log == (LIBRARY_LINE,)


def test_a_warning_of_a_session_is_kept_but_is_no_reason(registry: Registry, add_one: ModelFile) -> None:
    (attempt,) = climb(registry, add_one, "warning").attempts
    assert (attempt.reason, attempt.log) == ("No.", ("Removing initializer",))


def test_a_failed_opening_tells_why(registry: Registry, add_one: ModelFile) -> None:
    report = climb(registry, add_one, "contradicting")
    (attempt,) = report.attempts
    assert (attempt.outcome, attempt.stage) == (REFUSED, "open")
    assert attempt.reason.startswith("Conflicting session configuration")
    assert len(attempt.log) == 1
    assert "Conflicting session configuration" in attempt.log[0]


def test_a_lower_rung_that_cannot_be_attached_is_left_out(registry: Registry, add_one: ModelFile) -> None:
    assert climb(registry, add_one, "first", "rootless").rung == 1


def test_zero_nodes_are_refused_when_they_are_read(registry: Registry, add_one: ModelFile) -> None:
    report = climb(registry, add_one, "idle")
    (attempt,) = report.attempts
    assert (attempt.outcome, attempt.stage) == (REFUSED, "read")
    assert attempt.reason == f"ONNX Runtime gave {NOWHERE} none of the model's nodes: 1 on {CPU}"
    assert report.session is None


def test_a_lower_rung_may_keep_the_contract(registry: Registry, add_one: ModelFile) -> None:
    report = climb(registry, add_one, "first", "second", provider=["second"])
    assert outcomes(report) == [(REFUSED, "contract"), (OPENED, "")]
    assert report.attempts[0].reason == "it would run on first, and the contract wants second"
    assert (report.provider, report.verdict.state) == ("second", VerdictState.KEPT)


def test_all_refused_is_broken_with_every_reason_and_the_way_out(registry: Registry, add_one: ModelFile) -> None:
    report = climb(registry, add_one, "absent", "idle", "first", provider=["absent", "idle"])
    assert outcomes(report) == [(REFUSED, "probe"), (REFUSED, "read"), (REFUSED, "contract")]
    assert report.verdict.state is VerdictState.BROKEN
    assert (report.session, report.rung, report.provider) == (None, 0, "")
    probe, read, contract, hint = report.verdict.reasons
    assert probe.startswith("rung 1 (absent) refused at probe: libabsent.so.1 is missing")
    assert read.startswith("rung 2 (idle) refused at read: ")
    assert contract.startswith("rung 3 (first) refused at contract: it would run on first")
    assert hint.startswith("to serve rung 3 all the same")
    assert 'otherwise = "degrade"' in hint
    assert "--allow-degraded" not in hint  # that is for models without [require] only


def test_without_require_the_flag_is_told_too(registry: Registry, add_one: ModelFile) -> None:
    *_, hint = climb(registry, add_one, "absent", "first").verdict.reasons
    assert hint.startswith("to serve rung 2 all the same")
    assert "--allow-degraded" in hint


def test_no_way_out_is_told_where_nothing_opened(registry: Registry, add_one: ModelFile) -> None:
    report = climb(registry, add_one, "absent", "rootless")
    assert len(report.verdict.reasons) == 2
    assert "degrade" not in report.verdict.sentence


def test_otherwise_degrade_serves_the_highest_that_opened(registry: Registry, add_one: ModelFile) -> None:
    chain = ("absent", "first", "second", "rootless")
    report = climb(registry, add_one, *chain, provider=["absent"], otherwise="degrade")
    assert outcomes(report) == [(REFUSED, "probe"), (OPENED, ""), (REFUSED, "contract"), (REFUSED, "attach")]
    assert (report.rung, report.provider, report.verdict.state) == (2, "first", VerdictState.DEGRADED)
    assert report.session is not None
    assert report.verdict.reasons == (
        "rung 1 (absent) refused at probe: libabsent.so.1 is missing (apt install libabsent1)",
        "it would run on first, and the contract wants absent",
    )


def test_degrade_without_a_session_is_broken(registry: Registry, add_one: ModelFile) -> None:
    report = climb(registry, add_one, "absent", "idle", otherwise="degrade")
    assert report.verdict.state is VerdictState.BROKEN


def test_allow_degraded_serves_a_lower_rung_without_require(runtime_log: RuntimeLog, add_one: ModelFile) -> None:
    strict = climb(Registry(catalog(), runtime_log), add_one, "absent", "cpu")
    lenient = climb(Registry(catalog(), runtime_log, allow_degraded=True), add_one, "absent", "cpu")
    assert (strict.rung, strict.verdict.state) == (0, VerdictState.BROKEN)
    assert (lenient.rung, lenient.verdict.state) == (2, VerdictState.DEGRADED)


def test_a_model_at_fault_stops_the_climb(registry: Registry, tmp_path: Path) -> None:
    proto = models.add_one()
    proto.graph.node[0].op_type = "Nope"
    report = climb(registry, read_model(models.save(proto, tmp_path)), "first", "second")
    assert outcomes(report) == [(REFUSED, "open")]
    assert report.verdict.state is VerdictState.BROKEN
    assert report.verdict.reasons == (report.attempts[0].reason,)
    assert "Nope" in report.verdict.sentence


def test_one_provider_twice_in_a_chain(registry: Registry, add_one: ModelFile) -> None:
    report = climb(registry, add_one, "first", "cpu", "first", forbid_on_cpu=["Add"], otherwise="degrade")
    assert outcomes(report) == [(OPENED, ""), (REFUSED, "contract"), (REFUSED, "contract")]
    assert report.session is not None
    assert report.session.providers == (CPU,)


def test_a_model_whose_nodes_all_fold_away_keeps_its_contract(registry: Registry, tmp_path: Path) -> None:
    proto = models.model(
        [helper.make_node("Add", ["one", "one"], ["y"], name="add")],
        [],
        [models.value("y", onnx.TensorProto.FLOAT, [1])],
        [models.tensor("one", [1.0])],
    )
    report = climb(registry, read_model(models.save(proto, tmp_path)), "idle", node_share=1.0)
    assert report.assignment is not None
    assert report.assignment.nodes == ()
    assert report.verdict.state is VerdictState.KEPT


@pytest.mark.parametrize(("otherwise", "open_sessions"), [("fail", 0), ("degrade", 1)])
def test_a_session_that_will_not_serve_is_let_go_before_the_next(
    otherwise: str, open_sessions: int, registry: Registry, add_one: ModelFile
) -> None:
    before = sessions_open()
    report = climb(registry, add_one, "first", "counting", provider="counting", otherwise=otherwise)
    assert report.attempts[0].stage == "contract"
    assert report.attempts[1].log == (f"{before + open_sessions} sessions are open",)


def climb_locked(
    registry: Registry, model: ModelFile, *providers: str, drift: str, locked: str = "first"
) -> ChainReport:
    """On a chain of them whose lock says that `add` runs on `locked`."""
    document = {
        "chain": [{"provider": name} for name in providers],
        "lock": {"drift": drift},
        "require": {"provider": list(providers)},
    }
    chain = registry.compose(parse_model_toml(document, "test"), "test")
    before = place(f"add Add {locked}", chain=providers, rung=providers.index(locked) + 1)
    return registry.open(model, replace(chain, locked=before))


def test_a_rung_that_has_not_drifted_serves(registry: Registry, add_one: ModelFile) -> None:
    report = climb_locked(registry, add_one, "first", "second", drift="refuse")
    assert (report.rung, report.verdict.state, report.drift) == (1, VerdictState.KEPT, Drift())


def test_a_rung_above_the_locked_one_serves(registry: Registry, add_one: ModelFile) -> None:
    report = climb_locked(registry, add_one, "first", "second", drift="refuse", locked="second")
    assert report.rung == 1
    assert report.drift == Drift(moved_up=(MovedNode("add", "Add", "second", "first"),))


def test_drift_refuses_a_rung_with_the_nodes_by_name_and_the_ways_out(registry: Registry, add_one: ModelFile) -> None:
    report = climb_locked(registry, add_one, "absent", "second", drift="refuse", locked="absent")
    assert outcomes(report) == [(REFUSED, "probe"), (REFUSED, "lock")]
    assert report.attempts[1].reason == (
        "1 node runs further down than assignment.lock says: add (Add) absent → second"
    )
    assert (report.session, report.verdict.state) == (None, VerdictState.BROKEN)
    assert report.drift == Drift(moved_down=(MovedNode("add", "Add", "absent", "second"),))
    hint = report.verdict.reasons[-1]
    assert "ortolan lock" in hint
    assert 'drift = "degrade" under [lock]' in hint
    assert "otherwise" not in hint


def test_drift_can_degrade_a_rung(registry: Registry, add_one: ModelFile) -> None:
    report = climb_locked(registry, add_one, "absent", "second", drift="degrade", locked="absent")
    assert outcomes(report) == [(REFUSED, "probe"), (OPENED, "")]
    assert report.verdict.state is VerdictState.DEGRADED
    above, moved = report.verdict.reasons
    assert above.startswith("rung 1 (absent) refused at probe")
    assert moved.startswith("1 node runs further down")


def test_drift_can_be_warned_about(registry: Registry, add_one: ModelFile) -> None:
    report = climb_locked(registry, add_one, "absent", "second", drift="warn", locked="absent")
    assert (report.rung, report.verdict.state) == (2, VerdictState.KEPT)
    assert report.verdict.warnings[0].startswith("1 node runs further down")
