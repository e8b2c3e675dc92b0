"""A device that fails under a version that is going, or that has not yet come: its calls are answered all the same."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ortolan_server.errors import ModelNotReady
from ortolan_server.lifecycle.history import EventKind
from ortolan_server.lifecycle.manager import ModelManager
from ortolan_server.lifecycle.states import State
from ortolan_server.lifecycle.version import ModelVersion
from tests import models
from tests.faulty_provider.commands import Commands
from tests.faulty_provider.faulty import Faulty
from tests.server.conftest import Manage
from tests.server.lifecycle.calls import Aside, add_one, until

CPU = '\n[[chain]]\nprovider = "cpu"\n'
BOTH = CPU + '\n[require]\nprovider = ["faulty", "cpu"]\n'
SOON = "\n[failover]\nprobe_after_s = 0.05\nprobe_most_s = 0.05\n"
LATE = "\n[failover]\nprobe_after_s = 3600\nprobe_most_s = 3600\n"


def provider(version: ModelVersion) -> str:
    return version.report.provider if version.report else ""


class Busy:
    """A manager of the model m whose device is at a call, while another waits."""

    def __init__(self, manage: Manage, faulty: Faulty, folder: Path, toml: str) -> None:
        models.save(models.add_one(), folder / "models" / "m", toml=faulty.toml + toml)
        self.manager: ModelManager = manage(folder / "models")
        self.version = self.manager.find("m", "")
        faulty.commands.say("hang")
        self.calls = [Aside(self._call(number)) for number in (1.0, 2.0)]
        faulty.commands.wait_for("hanging")
        until(lambda: self.version.occupancy.waiting_calls == 1)

    def _call(self, number: float) -> Callable[[], object]:
        return lambda: add_one(self.version, number)


def test_an_unload_waits_for_calls_that_go_to_the_next_rung(manage: Manage, faulty: Faulty, tmp_path: Path) -> None:
    busy = Busy(manage, faulty, tmp_path, BOTH + LATE)
    unload = Aside(lambda: busy.manager.unload("m"))
    until(lambda: busy.version.state is State.DRAINING)
    faulty.commands.say("lost")
    assert [call.result() for call in busy.calls] == [2.0, 3.0]
    unload.result()
    assert (busy.version.state, busy.version.reason) == (State.UNLOADED, "")
    assert EventKind.FAILED_OVER in [event.kind for event in busy.version.history.events]
    assert busy.manager._recovery._waiting == set(), "what goes is not to come back"


def test_an_unload_without_another_rung_says_why_not(manage: Manage, faulty: Faulty, tmp_path: Path) -> None:
    busy = Busy(manage, faulty, tmp_path, LATE)
    unload = Aside(lambda: busy.manager.unload("m"))
    until(lambda: busy.version.state is State.DRAINING)
    faulty.commands.say("lost")
    for call in busy.calls:
        with pytest.raises(ModelNotReady, match="device lost"):
            call.result()
    unload.result()
    assert busy.version.state is State.UNLOADED
    assert busy.manager.broken == []
    assert busy.manager._recovery._waiting == set()


def test_a_reload_waits_for_calls_that_go_to_the_next_rung(manage: Manage, faulty: Faulty, tmp_path: Path) -> None:
    busy = Busy(manage, faulty, tmp_path, BOTH + LATE)
    other = Commands(tmp_path / "other_commands")
    text = faulty.toml.replace(str(faulty.commands.file), str(other.file)) + BOTH + LATE
    (tmp_path / "models" / "m" / "model.toml").write_text(text)
    reload = Aside(lambda: busy.manager.load("m"))
    until(lambda: busy.version.state is State.DRAINING)
    faulty.commands.say("lost")
    assert [call.result() for call in busy.calls] == [2.0, 3.0]
    reload.result()
    fresh = busy.manager.find("m", "")
    assert (fresh.state, provider(fresh)) == (State.READY, "faulty")
    assert EventKind.FAILED_OVER in [event.kind for event in fresh.history.events]


def test_one_that_loses_its_device_before_it_takes_its_place_is_brought_back(
    manage: Manage, faulty: Faulty, tmp_path: Path
) -> None:
    models.save(models.add_one(), tmp_path / "models" / "m", toml=faulty.toml + BOTH + SOON)
    manager = manage(tmp_path / "models")
    placer, before = manager._placer, manager.find("m", "")
    model = manager.model("m")
    fresh = placer._loader.make(model.entry, 1, before)
    fresh.load(manager._registry, "m/model.toml", model.entry.folder, 1, lambda: manager._watch(fresh))
    faulty.commands.say("lost")
    assert add_one(fresh, 1.0) == 2.0
    # Nothing is wrong with the one that is there.
    until(lambda: manager._recovery._thread and not manager._recovery._waiting)
    faulty.commands.say("ok")
    placer.replace(model, 1, fresh)
    until(lambda: provider(fresh) == "faulty")


def test_two_runs_that_fail_at_once_fall_once(manage: Manage, faulty: Faulty, tmp_path: Path) -> None:
    toml = BOTH + LATE + "\n[limits]\nconcurrency = 4\n"
    models.save(models.add_one(), tmp_path / "models" / "m", toml=faulty.toml + toml)
    version = manage(tmp_path / "models").find("m", "")
    faulty.commands.say("hang")
    calls = [Aside(lambda: add_one(version, 1.0)) for _ in range(4)]
    faulty.commands.wait_for("hanging", times=4)
    faulty.commands.say("lost")
    assert [call.result() for call in calls] == [2.0] * 4
    kinds = [event.kind for event in version.history.events]
    assert kinds == [EventKind.LOADED, EventKind.DEVICE_FAILED, EventKind.FAILED_OVER]


def test_its_threads_end_with_it(manage: Manage, faulty: Faulty, tmp_path: Path) -> None:
    busy = Busy(manage, faulty, tmp_path, BOTH + LATE)
    faulty.commands.say("lost")
    assert [call.result() for call in busy.calls] == [2.0, 3.0]
    busy.manager.unload("m")
    until(lambda: not [thread for thread in threading.enumerate() if "m/1" in thread.name])
