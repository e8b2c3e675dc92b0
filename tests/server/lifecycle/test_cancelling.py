"""Loads that are given up: what ends them, what goes on serving, and what is said."""

import threading
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from ortolan_backends.catalog import ENTRY_POINT_GROUP, Catalog
from ortolan_backends.runtime.load_handle import LoadHandle
from ortolan_backends.runtime.log import RuntimeLog
from ortolan_server.allocation import Allocation
from ortolan_server.chains.registry import Registry
from ortolan_server.errors import LoadFailed
from ortolan_server.lifecycle.history import EventKind
from ortolan_server.lifecycle.manager import ModelManager
from ortolan_server.lifecycle.states import State
from ortolan_server.repository import Repository
from tests import models
from tests.faulty_provider.faulty import Faulty
from tests.server.chains import fakes
from tests.server.chains.fakes import Gated
from tests.server.conftest import Manage
from tests.server.lifecycle.calls import WAIT_S, Aside, add_one, until

GATED = '[[chain]]\nprovider = "gated"\n'
UNLOADED = "the load was cancelled: the model was unloaded"
STOPPING = "the load was cancelled: the server is stopping"


@pytest.fixture
def gate() -> Iterator[Gated]:
    """Where the sessions of `gated` wait while it is closed."""
    yield fakes.gated
    fakes.gated.open()


def handles(manager: ModelManager) -> list[LoadHandle]:
    """Of loads that go on or wait for their turn."""
    return [handle for _, handle in manager._operations._handles]


@pytest.fixture
def manager(manage: Manage, tmp_path: Path) -> ModelManager:
    """Of the model m, y = x + 1, on `gated`; not loaded."""
    models.save(models.add_one(), tmp_path / "m", toml=GATED)
    return manage(tmp_path, loaded=False)


def test_an_unload_ends_the_load(manager: ModelManager, gate: Gated) -> None:
    gate.close()
    load = Aside(lambda: manager.load("m"))
    assert gate.arrived.wait(WAIT_S)
    version = manager.known("m", "")
    unload = Aside(lambda: manager.unload("m"))
    until(lambda: version.cancelled)
    gate.open()
    assert load.end() == f"model 'm': version 1: {UNLOADED}"
    assert isinstance(load.error, LoadFailed)
    assert unload.end() == ""
    assert (version.state, version.reason, version.report) == (State.FAILED, UNLOADED, None)
    manager.load("m")
    assert add_one(manager.find("m", ""), 1.0) == 2.0


def test_no_other_rung_is_tried(manage: Manage, gate: Gated, tmp_path: Path) -> None:
    toml = GATED + '\n[[chain]]\nprovider = "first"\n\n[require]\nprovider = ["gated", "first"]\n'
    models.save(models.add_one(), tmp_path / "m", toml=toml)
    manager = manage(tmp_path, loaded=False)
    gate.close()
    load = Aside(lambda: manager.load("m"))
    assert gate.arrived.wait(WAIT_S)
    manager.known("m", "").cancel("nobody wants it")
    gate.open()
    assert load.end() == "model 'm': version 1: the load was cancelled: nobody wants it"


def test_a_load_that_waits_for_its_turn_is_given_up_too(manager: ModelManager, gate: Gated) -> None:
    gate.close()
    loads = [Aside(lambda: manager.load("m"))]
    assert gate.arrived.wait(WAIT_S)
    loads.append(Aside(lambda: manager.load("m")))
    until(lambda: len(handles(manager)) == 2)
    version = manager.known("m", "")
    unload = Aside(lambda: manager.unload("m"))
    until(lambda: version.cancelled)
    gate.open()
    assert [load.end() for load in loads] == [f"model 'm': version 1: {UNLOADED}"] * 2
    assert unload.end() == ""
    assert manager.known("m", "").state is State.FAILED


def test_an_unload_ends_a_reload_and_what_served(manager: ModelManager, gate: Gated) -> None:
    manager.load("m")
    before = manager.find("m", "")
    gate.close()
    load = Aside(lambda: manager.load("m"))
    assert gate.arrived.wait(WAIT_S)
    assert add_one(before, 1.0) == 2.0
    unload = Aside(lambda: manager.unload("m"))
    until(lambda: handles(manager)[0].cancelled)
    assert add_one(before, 1.0) == 2.0
    gate.open()
    assert load.end() == f"model 'm': version 1: {UNLOADED}"
    assert unload.end() == ""
    assert before.state is State.UNLOADED


def test_another_models_load_goes_on(manager: ModelManager, manage: Manage, gate: Gated, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "other")
    manager = manage(tmp_path, loaded=False)
    gate.close()
    load = Aside(lambda: manager.load("m"))
    assert gate.arrived.wait(WAIT_S)
    unload = Aside(lambda: manager.unload("other"))
    gate.open()
    assert (load.end(), unload.end()) == ("", "")
    assert manager.find("m", "").state is State.READY


def test_a_server_that_stops_ends_the_load_and_begins_none(manager: ModelManager, gate: Gated) -> None:
    gate.close()
    load = Aside(lambda: manager.load("m"))
    assert gate.arrived.wait(WAIT_S)
    manager.stop(0.0)
    gate.open()
    assert load.end() == f"model 'm': version 1: {STOPPING}"
    with pytest.raises(LoadFailed, match=STOPPING):
        manager.load("m")


def test_at_start_the_rest_is_left_out(manage: Manage, gate: Gated, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "a", toml=GATED)
    models.save(models.add_one(), tmp_path / "b")
    manager = manage(tmp_path, loaded=False)
    gate.close()
    loading = Aside(manager.load_all)
    assert gate.arrived.wait(WAIT_S)
    manager.stop_loading()
    gate.open()
    assert loading.end() == ""
    assert [(version.model, version.reason) for version in manager.versions] == [("a", STOPPING)]


def test_the_first_runs_are_stopped(manage: Manage, tmp_path: Path) -> None:
    toml = "[[warmup]]\ninputs.n = { file = 'n.npy' }\n"
    models.save(models.countdown(), tmp_path / "m", toml=toml)
    save_number(tmp_path / "m" / "n.npy", 2**40)
    manager = manage(tmp_path, loaded=False)
    load = Aside(lambda: manager.load("m"))
    until(lambda: [version for version in manager.versions if version.state is State.WARMING])
    manager.unload("m")
    assert load.end() == f"model 'm': version 1: {UNLOADED}"
    assert manager.known("m", "").report is None


def save_number(file: Path, number: int) -> None:
    np.save(file, np.array(number))


def test_an_unload_ends_a_failover(faulty: Faulty, runtime_log: RuntimeLog, gate: Gated, tmp_path: Path) -> None:
    toml = f'{faulty.toml}\n{GATED}\n[require]\nprovider = ["faulty", "gated"]\n'
    models.save(models.add_one(), tmp_path / "models" / "m", toml=toml)
    published = {"faulty": "ortolan_backend_faulty:BACKEND", "gated": "tests.server.chains.fakes:gated"}
    published["cpu"] = "tests.server.chains.fakes:cpu"
    catalog = Catalog({name: EntryPoint(name, value, ENTRY_POINT_GROUP) for name, value in published.items()})
    repository = Repository.scan(tmp_path / "models")
    manager = ModelManager(repository, Registry(catalog, runtime_log), Allocation(cores=2), drain_timeout_s=0.0)
    manager.load_all()
    version = manager.find("m", "")
    gate.close()
    faulty.commands.say("lost")
    call = Aside(lambda: add_one(version, 1.0))
    assert gate.arrived.wait(WAIT_S)
    manager.unload("m")
    assert "is UNLOADED" in call.end() or "stopped" in call.end()
    gate.open()
    until(lambda: not threads("failover-m/1"))
    assert (version.state, threads("m/1")) == (State.UNLOADED, [])
    assert EventKind.FAILED_OVER not in [event.kind for event in version.history.events]
    manager.stop(0.0)


def threads(name: str) -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(name)]
