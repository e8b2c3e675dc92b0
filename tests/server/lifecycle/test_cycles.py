"""Whatever happens to devices again and again: threads, open files and memory come back to what they were."""

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from ortolan_server.chains.registry import Registry
from ortolan_server.engine import watchdog
from ortolan_server.lifecycle.manager import ModelManager
from tests import models
from tests.faulty_provider.faulty import Faulty
from tests.server.conftest import Manage
from tests.server.lifecycle.calls import add_one, until

CPU = '\n[[chain]]\nprovider = "cpu"\n\n[require]\nprovider = ["faulty", "cpu"]\n\n[numeric]\ncheck = false\n'
# A first run may take ten times as long. One that did not would leave the load on the rung below, where nothing is lost
# that could come back: a reload would have to bring it up.
TIMES = "\n[failover]\nhang_after_s = 0.2\nprobe_after_s = 0.01\nprobe_most_s = 0.01\n"
CYCLES = 8
WAITING = 2
"""Threads of an engine: one for its runs, and one that watches."""
OPEN_FILES = Path("/proc/self/fd")


def fails(command: str) -> Callable[[ModelManager, Faulty], None]:
    """Falls, and comes back."""

    def act(manager: ModelManager, faulty: Faulty) -> None:
        version = manager.find("m", "")
        faulty.commands.say(command)
        assert add_one(version, 1.0) == 2.0
        assert rung(manager) == 2
        faulty.commands.say("ok")
        until(lambda: rung(manager) == 1)

    return act


def fails_and_is_loaded_again(manager: ModelManager, faulty: Faulty) -> None:
    version = manager.find("m", "")
    faulty.commands.say("lost")
    assert add_one(version, 1.0) == 2.0
    manager.load("m")
    faulty.commands.say("ok")
    until(lambda: rung(manager) == 1)


def fails_and_is_unloaded(manager: ModelManager, faulty: Faulty) -> None:
    version = manager.find("m", "")
    faulty.commands.say("ep_fail")
    assert add_one(version, 1.0) == 2.0
    manager.unload("m")
    faulty.commands.say("ok")
    manager.load("m")


def rung(manager: ModelManager) -> int:
    report = manager.known("m", "").report
    return report.rung if report else 0


def open_files() -> int:
    return len(list(OPEN_FILES.iterdir()))


def still(manager: ModelManager, registry: Registry) -> bool:
    """Is there nothing but what serves, with its standby, and the threads that wait for work?"""
    standby = manager.model("m").entry.config.failover.standby
    holders = ["m/1 rung 1 (faulty)", *(["m/1 rung 2 (cpu)"] if standby else [])]
    threads = [thread.name for thread in threading.enumerate() if "m/1" in thread.name or thread.name == "first-run"]
    return sorted(str(hold.holder) for hold in registry.budget.holds) == holders and len(threads) == WAITING


@pytest.fixture(params=["false", "true"], ids=["", "standby"])
def folder(faulty: Faulty, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of the model m, whose runs that hang are given up at once."""
    monkeypatch.setattr(watchdog, "_GRACE_S", 0.005)
    toml = f"{faulty.toml}{CPU}{TIMES}standby = {request.param}\n"
    models.save(models.add_one(), tmp_path / "models" / "m", toml=toml)
    return tmp_path / "models"


@pytest.mark.skipif(not OPEN_FILES.exists(), reason=f"there is no {OPEN_FILES} here")
@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize(
    "act",
    [fails("lost"), fails("hang"), fails_and_is_loaded_again, fails_and_is_unloaded],
    ids=["lost", "hang", "load", "unload"],
)
def test_all_is_as_it_was(
    manage: Manage, folder: Path, faulty: Faulty, registry: Registry, act: Callable[[ModelManager, Faulty], None]
) -> None:
    manager = manage(folder)
    is_still = partial(still, manager, registry)
    act(manager, faulty)  # the recovery's thread comes, and stays
    until(is_still)
    files = open_files()
    for _ in range(CYCLES):
        act(manager, faulty)
    until(is_still)
    until(lambda: open_files() == files)
    manager.unload("m")
    until(lambda: not registry.budget.holds)
    until(lambda: faulty.commands.told().count("opened") == faulty.commands.told().count("closed"))
