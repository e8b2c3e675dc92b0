"""Reloads whose assignment is worse, on a provider that does as it is told: who serves then, and why."""

from pathlib import Path

import pytest

from ortolan.inference import inference_pb2 as pb
from ortolan_server.chains.registry import Registry
from ortolan_server.errors import LoadFailed
from ortolan_server.lifecycle.manager import ModelManager
from ortolan_server.lifecycle.states import State
from ortolan_server.services.reports import assignment_summary
from ortolan_server.services.repository import RepositoryService
from tests import models
from tests.faulty_provider.faulty import Faulty
from tests.server.conftest import Manage
from tests.server.lifecycle.calls import add_one

LENIENT = '\n[[chain]]\nprovider = "cpu"\n\n[require]\nprovider = ["faulty", "cpu"]\nnode_share = 0.0\n'


@pytest.fixture
def manager(manage: Manage, faulty: Faulty, tmp_path: Path) -> ModelManager:
    """Of one model on the provider, whose contract is kept on the CPU too."""
    models.save(models.add_one(), tmp_path / "models" / "m", toml=faulty.toml + LENIENT)
    return manage(tmp_path / "models")


def force(service: RepositoryService) -> None:
    request = pb.RepositoryModelLoadRequest(model_name="m")
    request.parameters["ortolan_force"].bool_param = True
    service.load(request)


def test_nodes_that_would_move_down_keep_the_old_one_serving(manager: ModelManager, faulty: Faulty) -> None:
    before = manager.find("m", "")
    faulty.commands.say("absent")
    with pytest.raises(LoadFailed, match=r"model 'm': version 1: its assignment is worse .*ortolan_force = true"):
        manager.load("m")
    assert manager.find("m", "") is before
    assert (before.state, before.report and before.report.provider) == (State.READY, "faulty")
    assert add_one(before, 1.0) == 2.0
    told = (
        "it serves on; its reload was refused: its assignment is worse than that of the version that serves: it would "
        "run at rung 2 (cpu) instead of rung 1 (faulty); 1 node runs further down than now: add (Add) faulty → cpu"
    )
    assert before.reason.startswith(told)
    assert assignment_summary(before).reason == before.reason
    index = RepositoryService(manager).index(pb.RepositoryIndexRequest())
    assert [(row.state, row.reason) for row in index.models] == [("READY", before.reason)]


def test_what_was_loaded_aside_is_let_go(manage: Manage, faulty: Faulty, tmp_path: Path) -> None:
    models.save(models.affine(), tmp_path / "models" / "m", toml=faulty.toml + LENIENT)
    manager = manage(tmp_path / "models")
    faulty.commands.say("skip Mul")
    with pytest.raises(LoadFailed, match=r": 1 node runs further down than now: mul \(Mul\) faulty → cpu; to take it"):
        manager.load("m")
    assert faulty.commands.told() == ["opened", "opened", "closed"]
    faulty.commands.say("ok")
    manager.load("m")
    assert manager.find("m", "").reason == ""  # it went with the version that had it


def test_by_force_the_worse_one_is_taken(manager: ModelManager, faulty: Faulty) -> None:
    service = RepositoryService(manager)
    faulty.commands.say("absent")
    with pytest.raises(LoadFailed):
        service.load(pb.RepositoryModelLoadRequest(model_name="m"))
    force(service)
    version = manager.find("m", "")
    assert version.report is not None
    assert (version.report.provider, version.reason) == ("cpu", "")
    assert add_one(version, 1.0) == 2.0


def test_one_that_serves_no_more_is_no_measure(manager: ModelManager, faulty: Faulty) -> None:
    manager.unload("m")
    faulty.commands.say("absent")
    manager.load("m")
    version = manager.find("m", "")
    assert version.report is not None
    assert version.report.provider == "cpu"


def test_a_better_one_is_taken(manage: Manage, faulty: Faulty, tmp_path: Path, registry: Registry) -> None:
    faulty.commands.say("absent")
    models.save(models.add_one(), tmp_path / "models" / "m", toml=faulty.toml + LENIENT)
    manager = manage(tmp_path / "models")
    faulty.commands.say("ok")
    registry.probe("faulty", refresh=True)
    manager.load("m")
    version = manager.find("m", "")
    assert version.report is not None
    assert version.report.provider == "faulty"
