"""A device that fails under a version while its model is loaded again, or its files are not those that were loaded."""

import os
from pathlib import Path

import numpy as np
import pytest

from ortolan_server.errors import ModelNotReady
from ortolan_server.lifecycle.history import EventKind
from ortolan_server.lifecycle.manager import ModelManager
from ortolan_server.lifecycle.states import State
from tests import models
from tests.faulty_provider.commands import Commands
from tests.faulty_provider.faulty import Faulty
from tests.server.lifecycle.calls import Aside, add_one, until
from tests.server.lifecycle.conftest import Serve

CPU = '\n[[chain]]\nprovider = "cpu"\n'
BOTH = CPU + '\n[require]\nprovider = ["faulty", "cpu"]\n'
LATE = "\n[failover]\nprobe_after_s = 3600\nprobe_most_s = 3600\n"


class Reload:
    """A reload of the model `m` with a device of its own, whose first run hangs until it is told to do otherwise."""

    def __init__(self, manager: ModelManager, faulty: Faulty, folder: Path, toml: str) -> None:
        self.commands = Commands(folder / "other_commands")
        self.commands.say("hang")
        text = faulty.toml.replace(str(faulty.commands.file), str(self.commands.file)) + toml
        (folder / "models" / "m" / "model.toml").write_text(text)
        self._load = Aside(lambda: manager.load("m"))
        self.commands.wait_for("hanging")

    def ends(self, command: str) -> str:
        """Its error, or nothing."""
        self.commands.say(command)
        return self._load.end()


def test_one_that_fails_while_its_reload_is_refused_does_not_say_that_it_serves(
    serve: Serve, faulty: Faulty, tmp_path: Path
) -> None:
    manager = serve(CPU + LATE)
    version = manager.find("m", "")
    reload = Reload(manager, faulty, tmp_path, CPU + LATE)
    faulty.commands.say("lost")
    with pytest.raises(ModelNotReady):
        add_one(version, 1.0)
    assert reload.ends("lost")
    assert version.state is State.FAILED
    assert version.reason.startswith("the device failed while serving")
    assert version.history.events[-1].kind is EventKind.RELOAD_REFUSED


def test_what_happens_during_a_reload_is_not_forgotten_by_it(serve: Serve, faulty: Faulty, tmp_path: Path) -> None:
    manager = serve(BOTH + LATE)
    version = manager.find("m", "")
    reload = Reload(manager, faulty, tmp_path, BOTH + LATE)
    faulty.commands.say("lost")
    assert add_one(version, 1.0) == 2.0
    until(lambda: version.history.totals[EventKind.FAILED_OVER])
    assert reload.ends("ok") == ""
    fresh = manager.find("m", "")
    assert fresh is not version
    assert sorted(event.kind for event in fresh.history.events) == ["DEVICE_FAILED", "FAILED_OVER", "LOADED", "LOADED"]
    assert fresh.history.totals == {EventKind.LOADED: 2, EventKind.DEVICE_FAILED: 1, EventKind.FAILED_OVER: 1}, (
        "counters only grow"
    )


def test_files_that_have_changed_since_the_load_are_not_taken_for_it(
    serve: Serve, faulty: Faulty, tmp_path: Path
) -> None:
    version = serve(BOTH + LATE).find("m", "")
    models.save(models.affine(), tmp_path / "models" / "m")
    faulty.commands.say("lost")
    with pytest.raises(
        ModelNotReady, match=r"its files have changed since it was loaded \(model.onnx\): load it again"
    ):
        add_one(version, 1.0)
    assert version.state is State.FAILED


def test_external_data_that_has_changed_is_not_taken_for_what_served(
    serve: Serve, faulty: Faulty, tmp_path: Path
) -> None:
    folder = tmp_path / "models" / "m" / "1"
    folder.mkdir(parents=True)
    (folder / "one.bin").write_bytes(np.float32(1).tobytes())
    version = serve(BOTH + LATE, models.with_external_data()).find("m", "")
    (folder / "one.bin").write_bytes(np.float32(2).tobytes())
    os.utime(folder / "one.bin", (1, 1))  # as large as before, and perhaps in the same tick of the disk's clock
    faulty.commands.say("lost")
    with pytest.raises(ModelNotReady, match=r"have changed since it was loaded \(one.bin\)"):
        add_one(version, 1.0)


def test_what_lies_beside_a_model_may_change(serve: Serve, faulty: Faulty, tmp_path: Path) -> None:
    version = serve(BOTH + LATE).find("m", "")
    (tmp_path / "models" / "m" / "1" / "README.md").write_text("nothing of the model")
    faulty.commands.say("lost")
    assert add_one(version, 1.0) == 2.0
