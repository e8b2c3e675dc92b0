"""`ProviderReflection` as messages: providers, assignments, plans, watches."""

import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ortolan.v1 import provider_reflection_pb2 as pb
from ortolan_server.chains.registry import Registry
from ortolan_server.errors import InvalidRequest, ModelNotFound, NotAllowed, OrtolanError, ServerStopping
from ortolan_server.lifecycle.manager import ModelManager
from ortolan_server.services.reflection import HostFacts, ReflectionService
from ortolan_server.settings import Settings
from tests import models
from tests.server.chains.fakes import CPU, gated
from tests.server.conftest import Manage
from tests.server.lifecycle.calls import WAIT_S, break_device

FACTS = HostFacts("1.2.3", "1.31.0", "onnxruntime", "host", datetime(2026, 1, 2, tzinfo=UTC), "fast")
FALLING = """
[[chain]]
provider = "absent"
level = 7

[[chain]]
provider = "cpu"

[require]
provider = "absent"
otherwise = "degrade"
"""


@pytest.fixture
def manager(manage: Manage, tmp_path: Path) -> ModelManager:
    models.save(models.add_one(), tmp_path / "kept")
    models.save(models.add_one(), tmp_path / "falling", toml=FALLING)
    models.save(models.add_one(), tmp_path / "broken", toml='[[chain]]\nprovider = "absent"\n')
    models.save(models.add_one(), tmp_path / "wrong", toml='[[chain]]\nprovider = "tpu"\n')
    models.save(models.add_one(), tmp_path / "misspelt", toml="colour = 1\n")
    return manage(tmp_path)


@pytest.fixture
def service(manager: ModelManager, registry: Registry) -> ReflectionService:
    return ReflectionService(manager, registry, Settings(), FACTS)


def assignment(service: ReflectionService, model: str, *, omit_nodes: bool = False) -> pb.Assignment:
    request = pb.GetAssignmentRequest(model=model, omit_nodes=omit_nodes)
    return service.get_assignment(request).assignment


def plan(service: ReflectionService, model: str, *rungs: str, **options: str) -> pb.Assignment:
    chain = [pb.Rung(provider=name, options=options) for name in rungs]
    return service.plan_assignment(pb.PlanAssignmentRequest(model=model, chain=chain)).assignment


def test_what_a_config_pbtxt_asks_for_in_vain_is_a_warning(manage: Manage, registry: Registry, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m")
    (tmp_path / "m/config.pbtxt").write_text("response_cache { enable: true } instance_group { kind: KIND_CPU }")
    service = ReflectionService(manage(tmp_path), registry, Settings(), FACTS)
    warning = "not honoured of config.pbtxt: response_cache.enable = true: nothing here does this"
    assert list(assignment(service, "m").verdict.warnings) == [warning]
    assert assignment(service, "m").verdict.state == pb.Verdict.KEPT
    assert warning in plan(service, "m").verdict.warnings


def test_the_server(service: ReflectionService) -> None:
    answer = service.get_server(pb.GetServerRequest())
    assert (answer.version, answer.onnxruntime_version, answer.host) == ("1.2.3", "1.31.0", "host")
    assert answer.started_at.ToDatetime(UTC) == FACTS.started_at
    assert answer.limits.max_message_bytes == Settings().max_message_bytes
    assert answer.control_allowed


def test_providers_with_checks_and_options(service: ReflectionService) -> None:
    answer = service.list_providers(pb.ListProvidersRequest(names=["absent", "ailing", "cpu"]))
    absent, ailing, cpu = answer.providers
    assert (absent.name, absent.provider, absent.availability) == ("absent", CPU, pb.Provider.UNAVAILABLE)
    assert absent.reason == "libabsent.so.1 is missing"
    (check,) = absent.checks
    assert (check.looked_at, check.outcome, check.mend) == (
        "libabsent.so.1",
        pb.Check.FAILED,
        "apt install libabsent1",
    )
    assert [option.name for option in absent.options] == ["level", "fast"]
    assert absent.options[0].onnxruntime_key == "fake_level"
    assert ailing.availability == pb.Provider.DEGRADED
    assert cpu.availability == pb.Provider.AVAILABLE
    assert cpu.reason == ""


def test_probes_are_repeated_on_request_only(service: ReflectionService) -> None:
    def looks(*, refresh: bool) -> str:
        request = pb.ListProvidersRequest(names=["first"], refresh=refresh)
        return service.list_providers(request).providers[0].versions["looks"]

    found = looks(refresh=False)
    assert looks(refresh=False) == found
    assert looks(refresh=True) != found


def test_an_unknown_provider_is_named(service: ReflectionService) -> None:
    with pytest.raises(InvalidRequest, match="no provider 'tpu'; known: "):
        service.list_providers(pb.ListProvidersRequest(names=["cpu", "tpu"]))


def test_the_list_has_every_model_whatever_became_of_it(service: ReflectionService) -> None:
    found = service.list_assignments(pb.ListAssignmentsRequest()).assignments
    verdicts = {each.model: (each.state, pb.Verdict.State.Name(each.verdict)) for each in found}
    assert verdicts == {
        "broken": ("FAILED", "BROKEN"),
        "falling": ("DEGRADED", "DEGRADED"),
        "kept": ("READY", "KEPT"),
        "misspelt": ("FAILED", "UNSPECIFIED"),
        "wrong": ("FAILED", "UNSPECIFIED"),
    }
    assert [each.model for each in found] == sorted(verdicts)


def test_a_line_of_the_list(service: ReflectionService) -> None:
    (kept,) = service.list_assignments(pb.ListAssignmentsRequest(model="kept")).assignments
    assert (kept.chain, kept.serving_provider, kept.serving_rung) == ("cpu", "cpu", 1)
    assert (dict(kept.nodes), kept.node_share, kept.reason) == ({"cpu": 1}, 1.0, "")
    (falling,) = service.list_assignments(pb.ListAssignmentsRequest(model="falling")).assignments
    assert (falling.chain, falling.serving_provider, falling.serving_rung) == ("absent, cpu", "cpu", 2)
    assert "libabsent.so.1 is missing" in falling.reason
    (wrong,) = service.list_assignments(pb.ListAssignmentsRequest(model="wrong")).assignments
    assert (wrong.chain, wrong.serving_rung) == ("", 0)
    assert "no provider 'tpu'" in wrong.reason
    with pytest.raises(ModelNotFound):
        service.list_assignments(pb.ListAssignmentsRequest(model="nothing"))


def test_all_of_one(service: ReflectionService) -> None:
    found = assignment(service, "falling")
    assert [(rung.provider, dict(rung.options)) for rung in found.chain] == [("absent", {"level": "7"}), ("cpu", {})]
    assert (list(found.contract.providers), found.contract.otherwise) == (["absent"], "degrade")
    assert not found.contract.implied
    assert [(attempt.outcome, attempt.stage) for attempt in found.attempts] == [
        (pb.Attempt.REFUSED, "probe"),
        (pb.Attempt.OPENED, ""),
    ]
    (share,) = found.shares
    assert (share.provider, share.nodes, share.node_share, share.fragments) == ("cpu", 1, 1.0, 1)
    assert [(node.name, node.op_type) for node in share.node_list] == [("add", "Add")]
    assert dict(share.operators) == {"Add": 1}
    assert list(found.session_providers) == [CPU]
    assert [(each.tensor, each.direction, each.memory) for each in found.placements] == [
        ("x", "input", "Cpu"),
        ("y", "output", "Cpu"),
    ]
    assert (found.state, found.serving_provider, found.complete) == ("DEGRADED", "cpu", True)
    assert found.loaded_at.seconds > 0
    assert found.load_seconds > 0


def test_nodes_are_on_the_provider_that_the_chain_names(service: ReflectionService) -> None:
    assert [share.provider for share in plan(service, "kept", "second", "first").shares] == ["second"]


def test_nodes_can_be_left_out(service: ReflectionService) -> None:
    (share,) = assignment(service, "kept", omit_nodes=True).shares
    assert (share.nodes, list(share.node_list)) == (1, [])


def test_why_one_that_failed_did(service: ReflectionService) -> None:
    broken, wrong = assignment(service, "broken"), assignment(service, "wrong")
    assert (broken.state, broken.verdict.state, broken.serving_rung) == ("FAILED", pb.Verdict.BROKEN, 0)
    assert broken.attempts[0].reason == "libabsent.so.1 is missing (apt install libabsent1)"
    assert (wrong.state, wrong.verdict.state) == ("FAILED", pb.Verdict.UNSPECIFIED)  # no contract was judged
    assert "no provider 'tpu'" in wrong.verdict.reasons[0]


def test_one_whose_device_failed_serves_nowhere(
    manage: Manage, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_device(monkeypatch)
    models.save(models.add_one(), tmp_path / "m")
    service = ReflectionService(manage(tmp_path), registry, Settings(), FACTS)
    (line,) = service.list_assignments(pb.ListAssignmentsRequest()).assignments
    assert (line.state, line.verdict, line.serving_provider) == ("FAILED", pb.Verdict.BROKEN, "")
    assert "CUDA failure 700" in line.reason


def test_a_plan_of_the_models_own_chain(service: ReflectionService, manager: ModelManager) -> None:
    before = manager.find("falling", "")
    found = plan(service, "falling")
    assert (found.model, found.version, found.verdict.state) == ("falling", "1", pb.Verdict.DEGRADED)
    assert found.state == ""
    assert manager.find("falling", "") is before


def test_a_plan_on_another_chain(service: ReflectionService) -> None:
    found = plan(service, "broken", "idle", "first", level="3", fast="true")
    assert [dict(rung.options) for rung in found.chain] == [{"level": "3", "fast": "true"}] * 2
    assert [attempt.stage for attempt in found.attempts] == ["read", "contract"]
    assert found.verdict.state == pb.Verdict.BROKEN
    assert found.contract.implied


def test_a_plan_of_a_version_that_is_not_loaded(manage: Manage, registry: Registry, tmp_path: Path) -> None:
    for number in (1, 2):
        models.save(models.add_one(), tmp_path / "m", version=number)
    service = ReflectionService(manage(tmp_path), registry, Settings(), FACTS)
    found = service.plan_assignment(pb.PlanAssignmentRequest(model="m", version="1")).assignment
    assert (found.version, found.verdict.state) == ("1", pb.Verdict.KEPT)
    with pytest.raises(ModelNotFound, match="model 'm' has no version 3 on disk"):
        service.plan_assignment(pb.PlanAssignmentRequest(model="m", version="3"))


def test_a_plan_of_a_model_that_nobody_has_asked_for(manage: Manage, registry: Registry, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        models.save(models.add_one(), tmp_path / "m", version=number, toml="[versions]\nspecific = [1, 2]\n")
    models.save(models.add_one(), tmp_path / "other", toml="[versions]\nspecific = [7]\n")
    manager = manage(tmp_path, initial=[])
    service = ReflectionService(manager, registry, Settings(), FACTS)
    found = plan(service, "m")
    assert (found.version, found.verdict.state) == ("2", pb.Verdict.KEPT)
    assert manager.waiting == ["m", "other"]
    with pytest.raises(InvalidRequest, match="7 not on disk"):
        plan(service, "other")


def test_a_plan_is_given_up_when_the_server_stops(manage: Manage, registry: Registry, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m")
    manager = manage(tmp_path)
    service = ReflectionService(manager, registry, Settings(), FACTS)
    gated.close()
    found: list[Exception] = []
    thread = threading.Thread(target=lambda: found.append(planning(service, "m", "gated")))
    thread.start()
    assert gated.arrived.wait(WAIT_S)
    manager.unload("m")  # of no matter to it
    manager.stop_loading()
    gated.open()
    thread.join(WAIT_S)
    assert [(type(error), str(error)) for error in found] == [
        (ServerStopping, "the load was cancelled: the server is stopping")
    ]


def planning(service: ReflectionService, model: str, rung: str) -> Exception:
    with pytest.raises(OrtolanError) as error:
        plan(service, model, rung)
    return error.value


def test_a_plan_of_a_link_out_of_the_repository(manage: Manage, registry: Registry, tmp_path: Path) -> None:
    outside = models.save(models.add_one(), tmp_path / "outside")
    models.save(models.add_one(), tmp_path / "models" / "m", version=2)
    (tmp_path / "models" / "m" / "1").symlink_to(outside.parent)
    service = ReflectionService(manage(tmp_path / "models"), registry, Settings(), FACTS)
    with pytest.raises(InvalidRequest, match=r"model 'm' version 1: .* is a link that leaves the served path"):
        service.plan_assignment(pb.PlanAssignmentRequest(model="m", version="1"))


@pytest.mark.parametrize(
    ("rung", "options", "told"),
    [
        ("first", {"level": "11"}, r"chain of the request: chain\[1\]: first: level"),
        ("first", {"level": "fast"}, "level"),
        ("first", {"level": "1.5"}, "level"),
        ("first", {"fast": "yes"}, "fast"),
        ("first", {"levle": "1"}, "did you mean level"),
        ("first", {"level": "1\nfast = true"}, "level"),
        ("first", {"level": "9" * 2000}, "2000 characters"),
        ("tpu", {}, "no provider 'tpu'"),
        ("", {}, r"chain\[1\] names no provider"),
    ],
)
def test_a_plan_that_cannot_be_made(
    service: ReflectionService, rung: str, options: Mapping[str, str], told: str
) -> None:
    with pytest.raises(InvalidRequest, match=told):
        plan(service, "kept", rung, **options)


def test_a_plan_of_what_is_not_there(service: ReflectionService) -> None:
    with pytest.raises(ModelNotFound, match="no model 'nothing'"):
        plan(service, "nothing")
    with pytest.raises(InvalidRequest, match="model 'misspelt': .*colour"):
        plan(service, "misspelt")
    with pytest.raises(InvalidRequest, match="33 rungs"):
        plan(service, "kept", *["cpu"] * 33)


def test_plans_are_off_where_loading_is(manager: ModelManager, registry: Registry) -> None:
    service = ReflectionService(manager, registry, Settings(allow_control=False), FACTS)
    with pytest.raises(NotAllowed, match="--allow-control"):
        plan(service, "kept")


def test_a_watch_tells_what_is_and_what_changes(service: ReflectionService, manager: ModelManager) -> None:
    seen: list[str] = []

    def send(answer: pb.WatchAssignmentsResponse) -> None:
        seen.append(f"{answer.assignment.model} {answer.assignment.state}")

    leave = service.watch_assignments(pb.WatchAssignmentsRequest(model="kept"), send)
    assert seen == ["kept READY"]
    manager.load("falling")
    manager.unload("kept")
    assert seen == ["kept READY", "kept DRAINING", "kept UNLOADED"]
    leave()
    manager.load("kept")
    assert len(seen) == 3


def test_a_watch_of_all(service: ReflectionService) -> None:
    seen: list[str] = []
    leave = service.watch_assignments(pb.WatchAssignmentsRequest(), lambda each: seen.append(each.assignment.model))
    leave()
    assert seen == ["broken", "falling", "kept", "misspelt", "wrong"]


def test_a_watch_of_nothing(service: ReflectionService) -> None:
    with pytest.raises(ModelNotFound):
        service.watch_assignments(pb.WatchAssignmentsRequest(model="nothing"), lambda _each: None)
