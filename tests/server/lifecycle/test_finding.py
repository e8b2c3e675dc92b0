"""Finding a version is a look into a table, which must never be behind what serves."""

import threading
from pathlib import Path

import pytest

from ortolan_server.errors import ModelNotReady, OrtolanError
from ortolan_server.lifecycle.manager import ModelManager
from ortolan_server.lifecycle.version import ModelVersion
from tests import models
from tests.server.conftest import Manage
from tests.server.lifecycle.calls import add_one, break_device


def found(manager: ModelManager, version: str) -> ModelVersion | None:
    try:
        return manager.find("m", version)
    except OrtolanError:
        return None


def check(manager: ModelManager) -> None:
    """What is found is what serves."""
    model = manager.model("m")
    assert found(manager, "") is model.serving
    for number in range(1, 5):
        version = model.versions.get(number)
        expected = version if version is not None and version.serves else None
        assert found(manager, str(number)) is found(manager, f"0{number}") is expected


def test_the_table_is_right_whenever_a_change_is_told_of(
    manage: Manage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.save(models.add_one(), tmp_path / "m", version=1, toml="[versions]\nlatest = 2\n")
    manager = manage(tmp_path, loaded=False)
    faults: list[str] = []
    changes: list[str] = []

    def look(version: ModelVersion) -> None:
        changes.append(f"{version.version} {version.state}")
        try:
            check(manager)
        except AssertionError as error:
            faults.append(f"after {changes}: {error}")

    manager.subscribe(look)
    manager.load_all()
    for number in (3, 2, 4):
        models.save(models.add_one(), tmp_path / "m", version=number)
        manager.load("m")
        check(manager)
    assert manager.find("m", "").number == 4
    with monkeypatch.context() as patch:
        break_device(patch)
        with pytest.raises(ModelNotReady, match="the device failed"):
            add_one(manager.find("m", ""), 1.0)
    assert manager.find("m", "").number == 3
    manager.load("m")
    assert manager.find("m", "").number == 4
    manager.unload("m")
    check(manager)
    with pytest.raises(ModelNotReady, match="version 4 is UNLOADED"):
        manager.find("m", "")
    assert {"1 READY", "4 READY", "4 FAILED", "1 UNLOADED", "3 DRAINING"} <= set(changes)
    assert not faults


def test_there_is_always_a_version_while_models_are_reloaded(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m", version=1)
    manager = manage(tmp_path)
    failures: list[Exception] = []
    seen: list[int] = []
    over = threading.Event()

    def keep_finding() -> None:
        while not over.is_set():
            try:
                seen.append(manager.find("m", "").number)
            except OrtolanError as error:
                failures.append(error)

    thread = threading.Thread(target=keep_finding)
    thread.start()
    for number in (1, 2, 3):
        models.save(models.add_one(), tmp_path / "m", version=number)
        manager.load("m")
    over.set()
    thread.join()
    assert not failures
    assert seen == sorted(seen)
    assert manager.find("m", "").number == 3
