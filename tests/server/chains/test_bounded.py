"""The climb within a budget, with real sessions: which rung it refuses, and that all is given back."""

from pathlib import Path

import pytest

from ortolan_backends.runtime.log import RuntimeLog
from ortolan_backends.runtime.model import ModelFile, read_model
from ortolan_server.chains.budget import HOST, Budget
from ortolan_server.chains.contract import VerdictState
from ortolan_server.chains.load import Load
from ortolan_server.chains.registry import Registry
from ortolan_server.chains.report import AttemptOutcome, ChainReport
from ortolan_server.repository import parse_model_toml
from tests import models
from tests.server.chains.fakes import catalog


@pytest.fixture
def model(tmp_path: Path) -> ModelFile:
    return read_model(models.save(models.add_one(), tmp_path))


def climb(budget: Budget, log: RuntimeLog, model: ModelFile, *providers: str) -> ChainReport:
    document: dict[str, object] = {"chain": [{"provider": name} for name in providers]}
    document["require"] = {"provider": list(providers)}
    registry = Registry(catalog(), log, budget=budget)
    chain = registry.compose(parse_model_toml(document, "test"), "test")
    return registry.open(model, chain, load=Load(model="m", version="1"))


@pytest.mark.usefixtures("no_collector")
def test_a_session_holds_its_memory_until_it_is_gone(model: ModelFile, runtime_log: RuntimeLog) -> None:
    budget = Budget(host_bytes=1 << 30)
    report = climb(budget, runtime_log, model, "first")
    (hold,) = budget.holds
    assert str(hold.holder) == "m/1 rung 1 (first)"
    assert [(amount.memory, amount.bytes) for amount in hold.amounts] == [(HOST, 2 * model.path.stat().st_size)]
    del report
    assert budget.holds == ()


def test_a_device_that_is_full_refuses_its_rung_only(model: ModelFile, runtime_log: RuntimeLog) -> None:
    budget = Budget()
    report = climb(budget, runtime_log, model, "cramped", "first")
    first, second = report.attempts
    assert (first.outcome, first.stage) == (AttemptOutcome.REFUSED, "memory")
    assert "of gpu:0 memory, and 0 bytes of 10 bytes are taken (--device-memory-limit)" in first.reason
    assert (second.outcome, report.rung, report.verdict.state) == (AttemptOutcome.OPENED, 2, VerdictState.KEPT)
    assert budget.limits == {"gpu:0": 10}


def test_a_host_that_is_full_refuses_the_load(model: ModelFile, runtime_log: RuntimeLog) -> None:
    budget = Budget(host_bytes=model.path.stat().st_size)
    report = climb(budget, runtime_log, model, "first", "second")
    assert [attempt.stage for attempt in report.attempts] == ["memory", "memory"]
    assert report.verdict.state is VerdictState.BROKEN
    assert "of host memory" in report.verdict.sentence
    assert budget.holds == ()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize(
    ("provider", "stage"), [("absent", "probe"), ("rootless", "attach"), ("contradicting", "open")]
)
def test_a_rung_that_is_refused_gives_it_back(
    provider: str, stage: str, model: ModelFile, runtime_log: RuntimeLog
) -> None:
    budget = Budget(host_bytes=1 << 30)
    report = climb(budget, runtime_log, model, provider)
    assert report.attempts[0].stage == stage
    assert budget.holds == ()
