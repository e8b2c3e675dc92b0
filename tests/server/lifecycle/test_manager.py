"""The manager on real repositories: who serves, who does not and why."""

import gc
import shutil
import threading
import weakref
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ortolan_server.errors import InvalidRequest, LoadFailed, ModelNotFound, ModelNotReady
from ortolan_server.lifecycle.manager import ModelManager
from ortolan_server.lifecycle.states import State
from ortolan_server.lifecycle.version import ModelVersion
from tests import models
from tests.server.conftest import Manage
from tests.server.lifecycle.calls import Heard, add_one, break_device, session_of

BROKEN = '[[chain]]\nprovider = "absent"\n'


def serving(manager: ModelManager) -> dict[str, State]:
    return {f"{version.model}/{version.version}": version.state for version in manager.versions}


def test_one_bad_model_leaves_the_others_alone(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "good")
    models.save(models.add_one(), tmp_path / "broken", toml=BROKEN)
    models.save(models.add_one(), tmp_path / "misspelt", toml="[limit]\nqueue = 1\n")
    (tmp_path / "text" / "1").mkdir(parents=True)
    (tmp_path / "text" / "1" / "model.onnx").write_text("this is no model")
    manager = manage(tmp_path)
    assert serving(manager) == {"good/1": State.READY, "broken/1": State.FAILED, "text/1": State.FAILED}
    assert add_one(manager.find("good", ""), 1.0) == 2.0
    assert "limit" in (manager.model("misspelt").entry.error or "")
    assert not manager.ready


def test_a_model_that_is_not_what_is_declared(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m", toml='[[input]]\nname = "x"\ndatatype = "INT8"\nshape = [-1, 2]\n')
    (version,) = manage(tmp_path).versions
    assert (version.state, version.reason) == (State.FAILED, "input 'x' FP32[N,2] is declared as INT8[?,2]")


def test_settings_of_triton_that_are_not_honoured_are_logged_at_each_load(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m")
    (tmp_path / "m/config.pbtxt").write_text("response_cache { enable: true } instance_group { kind: KIND_CPU }")
    manager = manage(tmp_path)
    with capture_logs() as events:
        manager.load("m")
    (event,) = [event for event in events if event["event"] == "triton_setting_not_honoured"]
    assert (event["model"], event["key"], event["value"]) == ("m", "response_cache.enable", "true")


def test_models_that_are_not_required_may_fail(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "good")
    models.save(models.add_one(), tmp_path / "broken", toml="required = false\n" + BROKEN)
    assert manage(tmp_path).ready


def test_an_empty_repository(manage: Manage, tmp_path: Path) -> None:
    manager = manage(tmp_path)
    assert manager.empty
    with pytest.raises(ModelNotFound, match="no model 'm'; this server has: none"):
        manager.find("m", "")


def test_what_cannot_be_found_says_what_there_is(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "a")
    models.save(models.add_one(), tmp_path / "b", toml=BROKEN)
    manager = manage(tmp_path)
    with pytest.raises(ModelNotFound, match="no model 'c'; this server has: a, b"):
        manager.find("c", "")
    with pytest.raises(ModelNotFound, match="model 'a' has no version 2; it has: 1"):
        manager.find("a", "2")
    with pytest.raises(ModelNotReady, match="model 'b' version 1 is FAILED: rung 1 .absent. refused at probe: libabs"):
        manager.find("b", "")
    assert manager.known("b", "").state is State.FAILED
    assert manager.known("a", "1") is manager.find("a", "")


@pytest.mark.parametrize("version", ["0", "-1", "one", "1.0", " 1", "1" * 19, "٣"])
def test_a_version_that_is_no_number(manage: Manage, tmp_path: Path, version: str) -> None:
    models.save(models.add_one(), tmp_path / "m")
    with pytest.raises(InvalidRequest, match="is not a positive integer"):
        manage(tmp_path, loaded=False).known("m", version)


def test_a_model_with_an_unusable_file_says_why(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m", toml="colour = 1\n")
    with pytest.raises(ModelNotReady, match="model 'm' is not loaded: .*colour: unknown key"):
        manage(tmp_path).find("m", "")


@pytest.mark.parametrize(
    ("policy", "served"),
    [("latest = 1", [3]), ("latest = 2", [2, 3]), ("all = true", [1, 2, 3]), ("specific = [1, 3]", [1, 3])],
)
def test_version_policies(manage: Manage, tmp_path: Path, policy: str, served: list[int]) -> None:
    for number in (1, 2, 3):
        models.save(models.add_one(), tmp_path / "m", version=number, toml=f"[versions]\n{policy}\n")
    manager = manage(tmp_path)
    assert sorted(manager.model("m").versions) == served
    assert manager.find("m", "").number == 3
    assert manager.find("m", str(served[0])).number == served[0]


def test_a_policy_that_cannot_be_met_says_so(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m", toml="[versions]\nspecific = [1, 7]\n")
    manager = manage(tmp_path)
    with pytest.raises(ModelNotReady, match="model 'm' is not loaded: .*7 not on disk"):
        manager.find("m", "")
    assert not manager.ready


def test_the_highest_version_that_serves_answers(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m", version=1, toml="[versions]\nall = true\n")
    (tmp_path / "m" / "2").mkdir()
    (tmp_path / "m" / "2" / "model.onnx").write_text("no model")
    manager = manage(tmp_path)
    assert manager.find("m", "").number == 1
    assert manager.ready
    with pytest.raises(ModelNotReady, match="version 2 is FAILED"):
        manager.find("m", "2")


def test_a_reload_swaps_while_it_serves(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m")
    manager = manage(tmp_path)
    before = manager.find("m", "")
    heard = Heard(manager)
    manager.load("m")
    after = manager.find("m", "")
    assert after is not before
    assert heard.all == ["m/1 READY"]
    assert before.state is State.UNLOADED
    assert add_one(after, 2.0) == 3.0


def test_a_refused_reload_keeps_the_old_one_and_says_why(manage: Manage, tmp_path: Path) -> None:
    path = models.save(models.add_one(), tmp_path / "m")
    manager = manage(tmp_path)
    before = manager.find("m", "")
    heard = Heard(manager)
    path.write_text("no model any more")
    with pytest.raises(LoadFailed, match="model 'm': version 1: .*not a readable ONNX model"):
        manager.load("m")
    assert manager.find("m", "") is before
    assert before.state is State.READY
    assert before.reason.startswith("it serves on; its reload was refused: ")
    assert heard.all == ["m/1 READY"]
    assert add_one(before, 1.0) == 2.0


def test_a_reload_with_a_broken_model_toml_keeps_the_old_one_and_says_why(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m")
    manager = manage(tmp_path)
    (tmp_path / "m" / "model.toml").write_text("colour = 1\n")
    with pytest.raises(LoadFailed, match="colour: unknown key"):
        manager.load("m")
    version = manager.find("m", "")
    assert "colour: unknown key" in version.reason
    assert manager.ready


def test_a_refused_reload_is_forgotten_when_the_next_one_is_taken(manage: Manage, tmp_path: Path) -> None:
    path = models.save(models.add_one(), tmp_path / "m")
    manager = manage(tmp_path)
    path.write_text("no model any more")
    with pytest.raises(LoadFailed):
        manager.load("m")
    models.save(models.add_one(), tmp_path / "m")
    manager.load("m")
    assert manager.find("m", "").reason == ""


def test_a_new_version_takes_over_and_the_old_one_is_let_go(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m", version=1)
    manager = manage(tmp_path)
    heard = Heard(manager)
    models.save(models.add_one(), tmp_path / "m", version=2)
    manager.load("m")
    assert serving(manager) == {"m/2": State.READY}
    assert heard.all == ["m/2 LOADING", "m/2 WARMING", "m/2 READY", "m/1 DRAINING", "m/1 UNLOADED"]


def test_a_new_version_that_fails_leaves_the_old_one_serving(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m", version=1)
    manager = manage(tmp_path)
    (tmp_path / "m" / "2").mkdir()
    (tmp_path / "m" / "2" / "model.onnx").write_text("no model")
    with pytest.raises(LoadFailed, match="version 2"):
        manager.load("m")
    assert serving(manager) == {"m/1": State.READY, "m/2": State.FAILED}
    assert manager.find("m", "").number == 1


def test_a_new_model_that_is_unusable_is_listed_while_it_is_there(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m")
    manager = manage(tmp_path)
    models.save(models.add_one(), tmp_path / "late", toml="colour = 1\n")
    with pytest.raises(LoadFailed, match="colour: unknown key"):
        manager.load("late")
    assert ["colour: unknown key" in (model.entry.error or "") for model in manager.models] == [False, True]
    assert manager.ready
    shutil.rmtree(tmp_path / "late")
    with pytest.raises(ModelNotFound):
        manager.load("late")
    assert [model.entry.name for model in manager.models] == ["m"]


def test_a_broken_model_toml_does_not_make_a_model_required(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m", toml="required = false\n" + BROKEN)
    manager = manage(tmp_path)
    (tmp_path / "m" / "model.toml").write_text("required = false\ncolour = 1\n")
    with pytest.raises(LoadFailed):
        manager.load("m")
    assert manager.ready


def test_a_model_that_came_later_can_be_loaded(manage: Manage, tmp_path: Path) -> None:
    manager = manage(tmp_path)
    models.save(models.add_one(), tmp_path / "late")
    manager.load("late")
    assert add_one(manager.find("late", ""), 1.0) == 2.0
    with pytest.raises(ModelNotFound, match="no model 'never' in the repository"):
        manager.load("never")


def test_unloading_tells_the_states_in_order(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m")
    manager = manage(tmp_path, loaded=False)
    heard = Heard(manager)
    manager.load_all()
    manager.unload("m")
    states = ["LOADING", "WARMING", "READY", "DRAINING", "UNLOADED"]
    assert heard.all == [f"m/1 {state}" for state in states]
    with pytest.raises(ModelNotReady, match="model 'm' version 1 is UNLOADED"):
        manager.find("m", "")
    manager.load("m")
    assert manager.find("m", "").state is State.READY


def test_who_left_hears_nothing(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m")
    manager = manage(tmp_path, loaded=False)
    gone, staying = Heard(manager), Heard(manager)
    gone.leave()
    manager.load_all()
    assert gone.all == []
    assert len(staying.all) == 3


def native_session(version: ModelVersion) -> weakref.ref[object]:
    return weakref.ref(session_of(version)._session)


def test_an_unloaded_session_is_gone(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m")
    manager = manage(tmp_path)
    session = native_session(manager.find("m", ""))
    assert add_one(manager.find("m", ""), 1.0) == 2.0
    manager.unload("m")
    gc.collect()
    assert session() is None


def test_a_replaced_session_is_gone(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m")
    manager = manage(tmp_path)
    session = native_session(manager.find("m", ""))
    manager.load("m")
    gc.collect()
    assert session() is None


def test_after_a_device_failure_a_reload_mends_it(
    manage: Manage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.save(models.add_one(), tmp_path / "m")
    manager = manage(tmp_path)
    session = native_session(manager.find("m", ""))
    threads = workers()
    with monkeypatch.context() as patch:
        break_device(patch)
        with pytest.raises(ModelNotReady, match="the device failed"):
            add_one(manager.find("m", ""), 1.0)
    assert not manager.ready
    with pytest.raises(ModelNotReady, match="FAILED: the device failed while serving on cpu: CUDA failure 700"):
        manager.find("m", "")
    manager.load("m")
    assert add_one(manager.find("m", ""), 1.0) == 2.0
    gc.collect()
    assert session() is None
    assert workers() == threads


def workers() -> int:
    """Threads of engines."""
    return sum(thread.name.startswith("m/") for thread in threading.enumerate())


def test_a_model_that_vanished_serves_on(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m")
    manager = manage(tmp_path)
    shutil.rmtree(tmp_path / "m")
    with pytest.raises(ModelNotFound):
        manager.load("m")
    assert add_one(manager.find("m", ""), 1.0) == 2.0


def test_a_link_out_of_the_repository_is_not_served(manage: Manage, tmp_path: Path) -> None:
    outside = models.save(models.add_one(), tmp_path / "outside")
    path = models.save(models.add_one(), tmp_path / "models" / "m")
    manager = manage(tmp_path / "models")
    before = manager.find("m", "")
    path.unlink()
    path.symlink_to(outside)
    with pytest.raises(LoadFailed, match=r"model 'm': version 1: .*/m/1/model.onnx: is a link that leaves the served"):
        manager.load("m")
    assert manager.find("m", "") is before
    (tmp_path / "models" / "n").symlink_to(outside.parents[1])
    with pytest.raises(LoadFailed, match=r"model 'n': .*/n: is a link that leaves the served path"):
        manager.load("n")
