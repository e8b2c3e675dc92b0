"""A load that fails leaves nothing: no session, no memory, nothing taken of the budget, whatever it failed at."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ortolan_backends.runtime.heap import give_back
from ortolan_backends.runtime.log import RuntimeLog
from ortolan_server.chains.budget import Budget
from ortolan_server.chains.registry import Registry
from ortolan_server.errors import LoadFailed, ModelNotReady
from ortolan_server.lifecycle.manager import ModelManager
from ortolan_server.lifecycle.states import State
from ortolan_server.lifecycle.version import ModelVersion
from tests import models
from tests.faulty_provider.faulty import Faulty
from tests.server.conftest import Manage
from tests.server.lifecycle.calls import add_one, until

CPU = '\n[[chain]]\nprovider = "cpu"\n'
BOTH = CPU + '\n[require]\nprovider = ["faulty", "cpu"]\n'
LATE = "\n[failover]\nprobe_after_s = 3600\nprobe_most_s = 3600\n"
ROOM = 1 << 30
MOST_GROWTH = 30 << 20


@pytest.fixture
def registry(faulty: Faulty, runtime_log: RuntimeLog) -> Registry:
    return Registry(faulty.catalog(), runtime_log, budget=Budget(host_bytes=ROOM))


def matrix(size: int = 1024) -> onnx.ModelProto:
    """Input x FP32[N,size] → output y = x · w, with w of size² numbers."""
    return models.model(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")],
        [models.value("x", TensorProto.FLOAT, ["N", size])],
        [models.value("y", TensorProto.FLOAT, ["N", size])],
        [models.tensor("w", np.ones((size, size)))],
    )


@dataclass(frozen=True)
class Fault:
    """How a load is made to fail, and where it then says that it ended."""

    stage: str
    command: str = "ok"
    toml: str = ""


FAULTS = [
    Fault("at probe", "absent"),
    Fault("at read", "skip Add"),
    Fault("at contract", "skip Add", toml=BOTH + 'forbid_on_cpu = ["Add"]\n'),
    Fault("at numeric", "wrong 5"),
    Fault("at warm", "oom", toml="\n[numeric]\ncheck = false\n"),
    Fault("is declared", toml='\n[[input]]\nname = "x"\ndatatype = "INT8"\nshape = [-1, 2]\n'),
]


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.stage)
def test_whatever_it_failed_at(
    manage: Manage, faulty: Faulty, registry: Registry, fault: Fault, tmp_path: Path
) -> None:
    faulty.commands.say(fault.command)
    models.save(models.add_one(), tmp_path / "models" / "m", toml=faulty.toml + fault.toml)
    manager = manage(tmp_path / "models", loaded=False)
    with pytest.raises(LoadFailed, match=fault.stage):
        manager.load("m")
    assert registry.budget.holds == ()
    told = faulty.commands.told()
    assert told.count("opened") == told.count("closed")
    faulty.commands.say("ok")


@pytest.fixture
def slow_ends() -> Iterator[None]:
    """Threads of first runs take their time after they have told of the run's end."""

    def linger(frame: FrameType, event: str, _argument: object) -> None:
        if event == "return" and frame.f_code.co_filename.endswith("first_runs.py"):
            time.sleep(0.1)

    threading.setprofile(linger)
    yield
    threading.setprofile(None)


@pytest.mark.usefixtures("no_collector", "slow_ends")
def test_the_thread_of_a_first_run_has_let_go_before_it_is_told_of(
    manage: Manage, faulty: Faulty, registry: Registry, tmp_path: Path
) -> None:
    models.save(models.add_one(), tmp_path / "models" / "m", toml=faulty.toml + "\n[numeric]\ncheck = false\n")
    manager = manage(tmp_path / "models", loaded=False)
    faulty.commands.say("oom")
    fail(manager)
    assert registry.budget.holds == ()


def resident_bytes() -> int:
    give_back()  # what other tests have let go, too
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096


def test_fifty_failed_loads_take_no_memory(manage: Manage, faulty: Faulty, registry: Registry, tmp_path: Path) -> None:
    models.save(matrix(2300), tmp_path / "models" / "m", toml=faulty.toml + "\n[numeric]\ncheck = false\n")
    manager = manage(tmp_path / "models", loaded=False)
    faulty.commands.say("oom")
    for _ in range(3):
        fail(manager)
    before = resident_bytes()
    for _ in range(50):
        fail(manager)
    assert resident_bytes() - before < MOST_GROWTH, "one such model is 20 MiB"
    assert registry.budget.holds == ()


def fail(manager: ModelManager) -> None:
    with pytest.raises(LoadFailed, match="at warm"):
        manager.load("m")


def holders(registry: Registry) -> list[str]:
    return [str(hold.holder) for hold in registry.budget.holds]


def test_what_serves_holds_its_memory_and_a_reload_its_own(
    manage: Manage, faulty: Faulty, registry: Registry, tmp_path: Path
) -> None:
    path = models.save(models.add_one(), tmp_path / "models" / "m", toml=faulty.toml)
    manager = manage(tmp_path / "models")
    assert holders(registry) == ["m/1 rung 1 (faulty)"]
    registry.budget._limits["host"] = 3 * path.stat().st_size
    with pytest.raises(LoadFailed, match="refused at memory: it needs .* are taken: m/1 rung 1 .faulty."):
        manager.load("m")
    assert add_one(manager.find("m", ""), 1.0) == 2.0
    registry.budget._limits["host"] = ROOM
    manager.load("m")
    assert holders(registry) == ["m/1 rung 1 (faulty)"]
    manager.unload("m")
    assert holders(registry) == []


def test_a_standby_counts_and_a_failed_device_gives_back(
    manage: Manage, faulty: Faulty, registry: Registry, tmp_path: Path
) -> None:
    toml = faulty.toml + BOTH + LATE + "standby = true\n"
    models.save(models.add_one(), tmp_path / "models" / "m", toml=toml)
    manager = manage(tmp_path / "models")
    until(lambda: holders(registry) == ["m/1 rung 1 (faulty)", "m/1 rung 2 (cpu)"])
    faulty.commands.say("lost")
    version = manager.find("m", "")
    assert add_one(version, 1.0) == 2.0
    until(lambda: holders(registry) == ["m/1 rung 2 (cpu)"])
    assert version.state is State.READY


HANG = "\n[failover]\nhang_after_s = 0.3\nprobe_after_s = 3600\nprobe_most_s = 3600\n"


def serve_in_a_tight_room(manage: Manage, faulty: Faulty, registry: Registry, folder: Path, toml: str) -> ModelVersion:
    """The model m, which has all the memory that there is: twice what its next rung takes."""
    models.save(models.add_one(), folder / "models" / "m", toml=faulty.toml + toml)
    version = manage(folder / "models").find("m", "")
    (hold,) = registry.budget.holds
    registry.budget._limits["host"] = sum(amount.bytes for amount in hold.amounts)
    return version


@pytest.mark.usefixtures("no_collector")
def test_a_session_whose_device_failed_makes_room_for_the_next_rung(
    manage: Manage, faulty: Faulty, registry: Registry, tmp_path: Path
) -> None:
    version = serve_in_a_tight_room(manage, faulty, registry, tmp_path, BOTH + LATE)
    faulty.commands.say("lost")
    assert add_one(version, 1.0) == 2.0
    assert (version.state, holders(registry)) == (State.READY, ["m/1 rung 2 (cpu)"])
    until(lambda: faulty.commands.told()[-1] == "closed")


@pytest.mark.usefixtures("no_collector")
def test_a_version_that_failed_holds_nothing(
    manage: Manage, faulty: Faulty, registry: Registry, tmp_path: Path
) -> None:
    models.save(models.add_one(), tmp_path / "models" / "m", toml=faulty.toml + LATE)
    version = manage(tmp_path / "models").find("m", "")
    faulty.commands.say("lost")
    with pytest.raises(ModelNotReady, match="device lost"):
        add_one(version, 1.0)
    until(lambda: holders(registry) == [])
    assert version.state is State.FAILED
    until(lambda: faulty.commands.told()[-1] == "closed")


def test_a_session_that_hangs_keeps_its_room_until_it_comes_back(
    manage: Manage, faulty: Faulty, registry: Registry, tmp_path: Path
) -> None:
    version = serve_in_a_tight_room(manage, faulty, registry, tmp_path, BOTH + HANG)
    faulty.commands.say("hang")
    with pytest.raises(ModelNotReady, match=r"refused at memory: .* are taken: m/1 rung 1 .faulty."):
        add_one(version, 1.0)
    assert holders(registry) == ["m/1 rung 1 (faulty)"]
    faulty.commands.say("ok")
    until(lambda: holders(registry) == [])


def test_a_recovery_needs_room_beside_what_serves(
    manage: Manage, faulty: Faulty, registry: Registry, tmp_path: Path
) -> None:
    soon = "\n[failover]\nprobe_after_s = 0.05\nprobe_most_s = 0.05\n"
    version = serve_in_a_tight_room(manage, faulty, registry, tmp_path, BOTH + soon)
    faulty.commands.say("lost")
    assert add_one(version, 1.0) == 2.0
    faulty.commands.say("ok")
    until(lambda: "refused at memory" in (version.history.last.reason if version.history.last else ""))
    assert (add_one(version, 2.0), holders(registry)) == (3.0, ["m/1 rung 2 (cpu)"])
    registry.budget._limits["host"] = ROOM
    until(lambda: holders(registry) == ["m/1 rung 1 (faulty)"])
