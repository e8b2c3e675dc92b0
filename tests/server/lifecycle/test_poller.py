"""The poller on real repositories, stepped by hand."""

import shutil
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ortolan_server.errors import ModelNotFound
from ortolan_server.lifecycle.manager import ModelManager
from ortolan_server.lifecycle.poller import Poller
from ortolan_server.lifecycle.states import State
from tests import models
from tests.server.conftest import Manage
from tests.server.lifecycle.calls import Heard, add_one

_OWN_EVENTS = ("folder_", "model_refused", "repository_")
ALL_VERSIONS = "[versions]\nall = true\n"


def following(manager: ModelManager) -> Poller:
    return Poller(manager.repository, manager, interval_s=1.0)


def settle(poller: Poller) -> list[str]:
    """Two looks: what came between is seen by the first and acted on by the second. Returns the poller's events."""
    with capture_logs() as events:
        poller.step()
        poller.step()
    return [event["event"] for event in events if event["event"].startswith(_OWN_EVENTS)]


def put_aside(path: Path) -> None:
    """The same file as another one, as a copy moved into place would be."""
    aside = path.with_name(".aside")
    shutil.copy(path, aside)
    aside.replace(path)


def test_nothing_changed_and_nothing_is_done(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m")
    manager = manage(tmp_path)
    before, heard = manager.find("m", ""), Heard(manager)
    assert settle(following(manager)) == []
    assert manager.find("m", "") is before
    assert heard.all == []


def test_a_model_that_comes_is_loaded_once_it_is_quiet(manage: Manage, tmp_path: Path) -> None:
    manager = manage(tmp_path)
    poller = following(manager)
    models.save(models.add_one(), tmp_path / "late")
    poller.step()
    with pytest.raises(ModelNotFound):
        manager.find("late", "")
    poller.step()
    assert add_one(manager.find("late", ""), 1.0) == 2.0


def test_a_half_written_model_waits(manage: Manage, tmp_path: Path) -> None:
    manager = manage(tmp_path)
    poller = following(manager)
    data = models.add_one().SerializeToString()
    path = tmp_path / "late" / "1" / "model.onnx"
    path.parent.mkdir(parents=True)
    with path.open("wb", buffering=0) as file, capture_logs() as events:
        for byte in range(0, len(data), len(data) // 3):
            file.write(data[byte : byte + len(data) // 3])
            poller.step()
    assert not [event for event in events if event["event"] == "folder_changed"]
    poller.step()
    assert add_one(manager.find("late", ""), 1.0) == 2.0


def test_what_changed_between_the_scan_and_the_first_look_is_seen(manage: Manage, tmp_path: Path) -> None:
    path = models.save(models.add_one(), tmp_path / "m")
    manager = manage(tmp_path)
    before = manager.find("m", "")
    put_aside(path)
    settle(following(manager))
    assert manager.find("m", "") is not before


def test_a_new_version_leaves_its_siblings_alone(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m", version=1, toml=ALL_VERSIONS)
    manager = manage(tmp_path)
    poller, first = following(manager), manager.find("m", "1")
    models.save(models.add_one(), tmp_path / "m", version=2)
    settle(poller)
    assert manager.find("m", "").number == 2
    assert manager.find("m", "1") is first
    put_aside(tmp_path / "m" / "2" / "model.onnx")
    second = manager.find("m", "2")
    settle(poller)
    assert manager.find("m", "1") is first
    assert manager.find("m", "2") is not second


def test_a_version_folder_that_goes_is_unloaded(manage: Manage, tmp_path: Path) -> None:
    for number in (1, 2):
        models.save(models.add_one(), tmp_path / "m", version=number)
    manager = manage(tmp_path)
    poller = following(manager)
    (tmp_path / "m" / "2").rename(tmp_path / "m" / ".2")
    settle(poller)
    assert manager.find("m", "").number == 1
    assert list(manager.model("m").versions) == [1]
    (tmp_path / "m" / ".2").rename(tmp_path / "m" / "2")
    settle(poller)
    assert manager.find("m", "").number == 2  # the same files as before, and loaded all the same


def test_a_changed_model_toml_reloads_the_model(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m")
    manager = manage(tmp_path)
    poller = following(manager)
    (tmp_path / "m" / "model.toml").write_text("[limits]\nqueue = 7\n")
    settle(poller)
    assert manager.find("m", "").config.limits.queue == 7


def test_a_model_that_goes_is_drained_and_forgotten(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m")
    models.save(models.add_one(), tmp_path / "other")
    manager = manage(tmp_path)
    poller, heard, removed = following(manager), Heard(manager), list[str]()
    manager.subscribe_removals(removed.append)
    shutil.rmtree(tmp_path / "m")
    assert settle(poller) == ["folder_restless", "folder_gone"]
    assert heard.all == ["m/1 DRAINING", "m/1 UNLOADED"]
    assert removed == ["m"]
    assert manager.ready
    with pytest.raises(ModelNotFound, match="no model 'm'; this server has: other"):
        manager.find("m", "")
    models.save(models.add_one(), tmp_path / "m")
    settle(poller)
    assert manager.find("m", "").state is State.READY


def test_a_broken_model_that_goes_is_waited_for_no_more(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "good")
    models.save(models.add_one(), tmp_path / "bad", toml="colour = 1\n")
    manager = manage(tmp_path)
    assert not manager.ready
    poller = following(manager)
    shutil.rmtree(tmp_path / "bad")
    settle(poller)
    assert manager.ready


def test_a_load_that_failed_is_tried_again_only_after_a_change(manage: Manage, tmp_path: Path) -> None:
    path = models.save(models.add_one(), tmp_path / "m")
    manager = manage(tmp_path)
    poller, before = following(manager), manager.find("m", "")
    path.write_text("no model any more")
    assert settle(poller) == ["folder_restless", "folder_changed", "model_refused"]
    assert manager.find("m", "") is before
    assert before.reason.startswith("it serves on; its reload was refused: ")
    assert settle(poller) == []
    models.save(models.add_one(), tmp_path / "m")
    assert settle(poller) == ["folder_restless", "folder_changed"]
    assert manager.find("m", "") is not before


def test_a_broken_new_version_does_not_take_the_old_one_with_it(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m", version=1)
    manager = manage(tmp_path)
    poller = following(manager)
    (tmp_path / "m" / "2").mkdir()
    (tmp_path / "m" / "2" / "model.onnx").write_text("no model")
    settle(poller)
    assert manager.find("m", "").number == 1
    # Its own files are as they were, so it is not tried again; that must not count as its success.
    models.save(models.add_one(), tmp_path / "m", version=1)
    settle(poller)
    assert manager.find("m", "").number == 1
    assert manager.known("m", "2").state is State.FAILED


def test_a_mended_model_toml_reloads_what_its_fault_held_up(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m")
    manager = manage(tmp_path)
    poller, toml = following(manager), tmp_path / "m" / "model.toml"
    toml.write_text("colour = 1\n")
    settle(poller)
    assert "colour: unknown key" in manager.find("m", "").reason
    toml.unlink()
    settle(poller)
    assert manager.find("m", "").reason == ""


def test_a_late_model_that_fails_does_not_make_the_server_unready(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "good")
    manager = manage(tmp_path)
    poller = following(manager)
    path = tmp_path / "late" / "model.onnx"
    path.parent.mkdir()
    path.write_text("no model")
    settle(poller)
    assert manager.known("late", "").state is State.FAILED
    assert manager.ready
    path.write_bytes(models.add_one().SerializeToString())
    settle(poller)
    assert manager.model("late").expected


def test_the_first_model_makes_an_empty_server_ready(manage: Manage, tmp_path: Path) -> None:
    manager = manage(tmp_path)
    poller = following(manager)
    assert manager.empty
    empty_when_ready: list[bool] = []
    manager.subscribe(lambda version: empty_when_ready.append(manager.empty) if version.serves else None)
    models.save(models.add_one(), tmp_path / "m")
    settle(poller)
    assert empty_when_ready == [False]
    assert manager.ready


def test_a_repository_that_is_away_keeps_its_models(manage: Manage, tmp_path: Path) -> None:
    root = tmp_path / "models"
    models.save(models.add_one(), root / "m")
    manager = manage(root)
    poller, before = following(manager), manager.find("m", "")
    root.rename(tmp_path / "away")
    assert settle(poller) == ["repository_unreadable"]
    assert manager.find("m", "") is before
    (tmp_path / "away").rename(root)
    assert settle(poller) == ["repository_readable"]
    assert manager.find("m", "") is before


def test_a_repository_that_is_a_link_is_followed_when_it_is_switched(manage: Manage, tmp_path: Path) -> None:
    for release in ("one", "two"):
        models.save(models.add_one(), tmp_path / release / "m")
    link = tmp_path / "current"
    link.symlink_to("one")
    manager = manage(link)
    poller, before = following(manager), manager.find("m", "")
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").replace(link)
    settle(poller)
    assert manager.find("m", "") is not before


def test_it_stops_though_it_never_started_and_when_it_did(manage: Manage, tmp_path: Path) -> None:
    never, once = following(manage(tmp_path)), following(manage(tmp_path))
    once.start()
    assert never.stop(0.0)
    assert once.stop(10.0)
    never.start()  # loading ended after the server was told to stop
    assert never.stop(10.0)
