"""A provider that fails on command under a version: who answers then, what is told, and how it comes back."""

import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ortolan_backends.contract import Probe
from ortolan_server.chains.registry import Registry
from ortolan_server.chains.report import AttemptOutcome
from ortolan_server.errors import InferenceFailed, LoadFailed, ModelNotReady, Overloaded
from ortolan_server.lifecycle.history import EventKind
from ortolan_server.lifecycle.recovery import Outcome
from ortolan_server.lifecycle.states import State
from ortolan_server.lifecycle.version import ModelVersion
from tests import models
from tests.faulty_provider.faulty import Faulty
from tests.server.chains.fakes import sessions_open
from tests.server.lifecycle.calls import WAIT_S, Aside, Heard, add_one, until
from tests.server.lifecycle.conftest import Serve

CPU = '\n[[chain]]\nprovider = "cpu"\n'
BOTH = CPU + '\n[require]\nprovider = ["faulty", "cpu"]\n'
DEGRADE = CPU + '\n[require]\nprovider = "faulty"\notherwise = "degrade"\n'
SOON = "\n[failover]\nprobe_after_s = 0.05\nprobe_most_s = 0.4\n"
LATE = "\n[failover]\nprobe_after_s = 3600\nprobe_most_s = 3600\n"


def provider(version: ModelVersion) -> str:
    return version.report.provider if version.report else ""


def kinds(version: ModelVersion) -> list[EventKind]:
    return [event.kind for event in version.history.events]


@pytest.mark.parametrize("command", ["ep_fail", "lost"])
def test_the_call_that_met_the_failure_is_answered_by_the_next_rung(serve: Serve, faulty: Faulty, command: str) -> None:
    version = serve(BOTH + LATE).find("m", "")
    assert (add_one(version, 1.0), provider(version)) == (2.0, "faulty")
    faulty.commands.say(command)
    assert add_one(version, 2.0) == 3.0
    assert (provider(version), version.state) == ("cpu", State.READY)
    assert version.reason.startswith("the device failed while serving on faulty: ")
    loaded, failed, over = version.history.events
    assert [loaded.kind, failed.kind, over.kind] == [EventKind.LOADED, EventKind.DEVICE_FAILED, EventKind.FAILED_OVER]
    assert (over.step.rung, over.step.provider, over.step.to_rung, over.step.to_provider) == (1, "faulty", 2, "cpu")
    assert loaded.at <= failed.at <= over.at


def test_the_rung_is_told_before_it_answers(serve: Serve, faulty: Faulty) -> None:
    manager = serve(BOTH + LATE)
    version, answered = manager.find("m", ""), threading.Event()
    too_soon: list[bool] = []
    manager.subscribe(lambda _version: too_soon.append(answered.wait(0.2)) if provider(version) == "cpu" else None)
    faulty.commands.say("lost")
    assert add_one(version, 1.0) == 2.0
    answered.set()
    assert too_soon == [False]


def test_who_is_told_that_a_rung_is_back_is_answered_there(serve: Serve, faulty: Faulty) -> None:
    manager = serve(BOTH + LATE)
    version = manager.find("m", "")
    faulty.commands.say("lost")
    assert add_one(version, 1.0) == 2.0
    faulty.commands.say("ok")
    calls: list[Aside] = []

    def call(_version: ModelVersion) -> None:
        calls.append(Aside(lambda: add_one(version, 2.0)))
        threading.Event().wait(0.2)  # time for the rung below to answer

    leave = manager.subscribe(call)
    assert version.climb_back() is Outcome.RECOVERED
    leave()
    assert [each.result() for each in calls] == [3.0]
    runs = {seat: counts.snapshot().execution_count for seat, counts in version.by_seat.items()}
    assert runs == {("cpu", 2): 1, ("faulty", 1): 1}


def test_the_report_says_at_which_rung_it_failed(serve: Serve, faulty: Faulty) -> None:
    version = serve(BOTH + LATE).find("m", "")
    faulty.commands.say("lost")
    add_one(version, 1.0)
    assert version.report is not None
    first, second = version.report.attempts
    assert (first.outcome, first.stage) == (AttemptOutcome.REFUSED, "run")
    assert "device lost" in first.reason
    assert second.outcome is AttemptOutcome.OPENED


def test_a_rung_that_only_degrades_says_so(serve: Serve, faulty: Faulty) -> None:
    manager = serve(DEGRADE + LATE)
    version, heard = manager.find("m", ""), Heard(manager)
    faulty.commands.say("ep_fail")
    assert add_one(version, 1.0) == 2.0
    assert version.state is State.DEGRADED
    assert "it would run on cpu, and the contract wants faulty" in version.reason
    assert heard.all[:2] == ["m/1 DEGRADED"] * 2
    assert manager.ready


def test_a_contract_that_allows_no_other_rung_ends_it(serve: Serve, faulty: Faulty) -> None:
    manager = serve(CPU + LATE)
    version = manager.find("m", "")
    faulty.commands.say("lost")
    with pytest.raises(ModelNotReady, match="the device failed"):
        add_one(version, 1.0)
    assert version.state is State.FAILED
    assert not manager.ready
    assert kinds(version) == [EventKind.LOADED, EventKind.DEVICE_FAILED]


def test_it_climbs_back_when_the_device_works_again(serve: Serve, faulty: Faulty) -> None:
    manager = serve(DEGRADE + SOON)
    version, heard = manager.find("m", ""), Heard(manager)
    faulty.commands.say("lost")
    assert add_one(version, 1.0) == 2.0
    until(lambda: EventKind.PROBE_FAILED in kinds(version))
    assert (provider(version), add_one(version, 1.0)) == ("cpu", 2.0)
    faulty.commands.say("ok")
    until(lambda: "m/1 READY" in heard.all)
    assert provider(version) == "faulty"
    assert (version.state, version.reason, add_one(version, 2.0)) == (State.READY, "", 3.0)
    assert kinds(version)[-1] is EventKind.RECOVERED
    assert kinds(version).count(EventKind.PROBE_FAILED) == 1  # told once, with the time of the last
    assert version.report is not None
    assert [attempt.outcome for attempt in version.report.attempts] == [
        AttemptOutcome.OPENED,
        AttemptOutcome.NOT_NEEDED,
    ]


def test_one_that_failed_for_good_is_loaded_again_when_the_device_works(serve: Serve, faulty: Faulty) -> None:
    manager = serve(CPU + SOON)
    broken = manager.find("m", "")
    faulty.commands.say("lost")
    with pytest.raises(ModelNotReady):
        add_one(broken, 1.0)
    until(lambda: EventKind.PROBE_FAILED in kinds(broken))
    faulty.commands.say("ok")
    until(lambda: manager.ready)
    version = manager.find("m", "")
    assert version is not broken
    assert (provider(version), add_one(version, 1.0)) == ("faulty", 2.0)
    assert kinds(version)[0] is EventKind.LOADED, "its history goes on"
    assert kinds(version)[-1] is EventKind.LOADED


def test_one_that_failed_and_is_gone_from_the_disk_is_not_tried_again(
    serve: Serve, faulty: Faulty, tmp_path: Path
) -> None:
    manager = serve(CPU + "\n[failover]\nprobe_after_s = 0.3\n")
    version = manager.find("m", "")
    faulty.commands.say("lost")
    with pytest.raises(ModelNotReady):
        add_one(version, 1.0)
    (tmp_path / "models" / "m" / "1").rename(tmp_path / "models" / "m" / "2")
    with pytest.raises(LoadFailed):
        manager.load("m")
    faulty.commands.say("ok")
    with capture_logs() as logs:
        until(lambda: not manager._recovery._waiting)
    assert [line["event"] for line in logs if line["log_level"] == "error"] == []


def test_one_that_is_unloaded_while_its_device_is_probed_stays_unloaded(
    serve: Serve, faulty: Faulty, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = serve(CPU + SOON)
    backend, probing, go = registry.backend("faulty"), threading.Event(), threading.Event()
    probe = backend.probe

    def slow() -> Probe:
        probing.set()
        assert go.wait(WAIT_S)
        return probe()

    monkeypatch.setattr(backend, "probe", slow)
    faulty.commands.say("lost")
    with pytest.raises(ModelNotReady):
        add_one(manager.find("m", ""), 1.0)
    assert probing.wait(WAIT_S)
    manager.unload("m")
    faulty.commands.say("ok")
    go.set()
    until(lambda: not manager._recovery._waiting)
    assert not manager.ready
    assert faulty.commands.told().count("opened") == 1


def test_what_only_a_new_process_cures_is_not_tried_again(serve: Serve, faulty: Faulty, registry: Registry) -> None:
    manager = serve(DEGRADE + SOON)
    version = manager.find("m", "")
    faulty.commands.say("sticky")
    assert add_one(version, 1.0) == 2.0
    faulty.commands.say("ok")
    (reason,) = registry.losses.reasons.values()
    assert "CUDA failure 719" in reason
    assert "restart the server" in registry.probe("faulty").mend
    until(lambda: manager._recovery._thread and not manager._recovery._waiting)
    assert provider(version) == "cpu"
    assert faulty.commands.told().count("opened") == 1


def test_a_run_that_hangs_goes_to_the_next_rung(serve: Serve, faulty: Faulty) -> None:
    version = serve(BOTH + "\n[failover]\nhang_after_s = 0.5\nprobe_after_s = 3600\nprobe_most_s = 3600\n").find(
        "m", ""
    )
    faulty.commands.say("hang")
    assert add_one(version, 1.0) == 2.0
    assert provider(version) == "cpu"
    assert version.lost_threads == 1
    assert "a run has not ended in" in version.history.events[1].reason
    faulty.commands.say("ok")
    until(lambda: version.lost_threads == 0)
    assert add_one(version, 1.0) == 2.0


def test_a_device_that_hangs_at_its_first_run_holds_up_nobody(serve: Serve, faulty: Faulty, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "models" / "other")
    hang = "\n[failover]\nhang_after_s = 0.2\nprobe_after_s = 0.05\nprobe_most_s = 0.05\n"  # ten times that at a load
    manager = serve(CPU + hang)
    faulty.commands.say("hang")
    with pytest.raises(ModelNotReady):
        add_one(manager.find("m", ""), 1.0)
    faulty.commands.wait_for("hanging", times=2)  # it is loaded again
    manager.unload("other")
    faulty.commands.wait_for("hanging", times=3)  # and again
    manager.unload("m")
    faulty.commands.say("ok")


def test_no_memory_is_no_failure_of_the_device(serve: Serve, faulty: Faulty) -> None:
    version = serve(BOTH).find("m", "")
    faulty.commands.say("oom")
    with pytest.raises(Overloaded, match="not enough memory"):
        add_one(version, 1.0)
    faulty.commands.say("ok")
    assert (add_one(version, 1.0), provider(version)) == (2.0, "faulty")


def test_a_kernel_that_fails_is_no_failure_of_the_device(serve: Serve, faulty: Faulty) -> None:
    version = serve(BOTH).find("m", "")
    faulty.commands.say("error")
    with pytest.raises(InferenceFailed, match="kernel error"):
        add_one(version, 1.0)
    assert provider(version) == "faulty"


def test_a_standby_is_open_before_it_is_needed(serve: Serve, faulty: Faulty) -> None:
    version = serve(BOTH + LATE + "standby = true\n").find("m", "")
    failover = version.failover
    assert failover is not None
    until(lambda: failover.standby_rung == 2)
    faulty.commands.say("lost")
    assert (add_one(version, 1.0), provider(version), failover.standby_rung) == (2.0, "cpu", 0)


def test_each_rung_has_its_counts(serve: Serve, faulty: Faulty) -> None:
    version = serve(BOTH + LATE).find("m", "")
    add_one(version, 1.0)
    faulty.commands.say("lost")
    add_one(version, 1.0)
    add_one(version, 1.0)
    runs = {seat: counts.snapshot().execution_count for seat, counts in version.by_seat.items()}
    assert runs == {("faulty", 1): 1, ("cpu", 2): 2}


def test_an_unload_meanwhile_answers_what_waits(serve: Serve, faulty: Faulty) -> None:
    manager = serve(BOTH + LATE)
    version = manager.find("m", "")
    faulty.commands.say("lost")
    assert add_one(version, 1.0) == 2.0
    manager.unload("m")
    assert version.state is State.UNLOADED


def test_a_device_that_fails_at_the_first_run_leaves_the_load_to_the_next_rung(serve: Serve, faulty: Faulty) -> None:
    faulty.commands.say("ep_fail")
    version = serve(BOTH + "\n[numeric]\ncheck = false\n").find("m", "")
    assert (version.state, provider(version), add_one(version, 1.0)) == (State.READY, "cpu", 2.0)
    assert version.report is not None
    first, second = version.report.attempts
    assert (first.stage, second.outcome) == ("warm", AttemptOutcome.OPENED)
    assert "the device failed at the first run: " in first.reason


def test_a_session_that_failed_its_first_run_is_gone_before_the_next_rung_is_opened(
    serve: Serve, faulty: Faulty
) -> None:
    until(lambda: sessions_open() == 0)  # of other tests
    faulty.commands.say("ep_fail")
    toml = '[[chain]]\nprovider = "counting"\n[require]\nprovider = ["faulty", "counting"]\n[numeric]\ncheck = false\n'
    version = serve(toml).find("m", "")
    assert version.report is not None
    assert version.report.attempts[1].log == ("0 sessions are open",)


def test_what_keeps_the_contract_does_not_give_way_to_a_rung_that_breaks_it(serve: Serve) -> None:
    version = serve(CPU + '\n[require]\nprovider = "cpu"\notherwise = "degrade"\n').find("m", "")
    assert (provider(version), version.state) == ("cpu", State.READY)
    assert version.climb_back() is Outcome.NOT_YET
    assert (provider(version), version.state) == ("cpu", State.READY)


def test_a_load_that_is_asked_for_looks_at_the_device_anew(serve: Serve, faulty: Faulty) -> None:
    faulty.commands.say("absent")
    manager = serve(BOTH)
    assert provider(manager.find("m", "")) == "cpu"
    faulty.commands.say("ok")
    manager.load("m")
    assert provider(manager.find("m", "")) == "faulty"


def test_a_reload_amid_a_try_to_climb_back_is_tried_itself(serve: Serve, faulty: Faulty, tmp_path: Path) -> None:
    faulty.commands.say("absent")
    manager = serve(BOTH)
    faulty.commands.say("hang")
    attempt = Aside(lambda: manager._recover(("m", 1)))
    faulty.commands.wait_for("hanging")
    models.save(models.add_one(), tmp_path / "models" / "m", toml='[[chain]]\nprovider = "cpu"\n')
    manager.load("m", force=True)
    assert attempt.result() is Outcome.NOT_YET
    faulty.commands.say("ok")
    assert manager._recover(("m", 1)) is Outcome.OVER


def test_one_that_waits_for_its_load_is_tried_later(serve: Serve) -> None:
    manager = serve(BOTH)
    manager.unload("m")
    model = manager.model("m")
    model.versions[1] = fresh = manager._placer._loader.make(model.entry, 1, None)
    assert fresh.state is State.NEW
    assert manager._recover(("m", 1)) is Outcome.NOT_YET
