"""Models that are loaded when somebody asks for them: which the server's readiness waits for."""

from pathlib import Path

import pytest

from ortolan_server.errors import LoadFailed, ModelNotFound
from ortolan_server.lifecycle.manager import ModelManager
from ortolan_server.lifecycle.states import State
from tests import models
from tests.server.conftest import Manage

BROKEN = '[[chain]]\nprovider = "absent"\n'


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    models.save(models.add_one(), tmp_path / "a")
    models.save(models.add_one(), tmp_path / "b")
    models.save(models.add_one(), tmp_path / "broken", toml=BROKEN)
    return tmp_path


def serving(manager: ModelManager) -> list[str]:
    return [version.model for version in manager.versions if version.serves]


def test_nothing_is_loaded_that_was_not_asked_for(manage: Manage, repository: Path) -> None:
    manager = manage(repository, initial=[])
    assert manager.empty
    assert serving(manager) == []
    assert manager.waiting == ["a", "b", "broken"]
    with pytest.raises(ModelNotFound, match="'a' is in the repository and not loaded: RepositoryModelLoad loads"):
        manager.find("a", "")
    manager.unload("a")
    assert manager.waiting == ["a", "b", "broken"]
    for refused in (manager.find, lambda name, _version: manager.unload(name)):
        with pytest.raises(ModelNotFound, match="no model 'c'; this server has: none"):
            refused("c", "")


def test_one_whose_model_toml_is_wrong_does_not_wait_any_more(manage: Manage, repository: Path) -> None:
    models.save(models.add_one(), repository / "a", toml="colour = 1\n")
    manager = manage(repository, initial=[])
    with pytest.raises(LoadFailed, match="colour: unknown key"):
        manager.load("a")
    assert manager.waiting == ["b", "broken"]
    assert [model.entry.name for model in manager.models] == ["a"]


def test_what_is_named_at_the_start_is_waited_for(manage: Manage, repository: Path) -> None:
    manager = manage(repository, initial=["a", "broken"])
    assert serving(manager) == ["a"]
    assert manager.waiting == ["b"]
    assert not manager.ready


def test_what_was_loaded_counts_until_it_is_unloaded(manage: Manage, repository: Path) -> None:
    manager = manage(repository, initial=["a"])
    manager.load("b")
    assert serving(manager) == ["a", "b"]
    told: list[bool] = []
    manager.subscribe(lambda _version: told.append(manager.ready))
    manager.unload("b")
    assert told == [True, True]  # DRAINING and UNLOADED: readiness did not wait for it any more
    assert manager.known("b", "").state is State.UNLOADED
    before = manager.empty
    manager.unload("a")
    assert (before, manager.empty) == (False, True)
    manager.load("b")
    assert (manager.empty, manager.ready) == (False, True)


def test_a_load_that_fails_does_not_make_the_server_unready(manage: Manage, repository: Path) -> None:
    manager = manage(repository, initial=["a"])
    with pytest.raises(LoadFailed, match="libabsent"):
        manager.load("broken")
    assert manager.known("broken", "").state is State.FAILED
    assert manager.ready


def test_where_all_models_are_loaded_an_unloaded_one_is_missed(manage: Manage, repository: Path) -> None:
    models.save(models.add_one(), repository / "broken")
    (repository / "broken" / "model.toml").unlink()
    manager = manage(repository)
    before = manager.ready
    manager.unload("b")
    assert (before, manager.ready) == (True, False)
    assert manager.waiting == []
