"""A provider that hangs while a session is opened: it cannot be interrupted, and everybody can see what it holds up."""

from pathlib import Path

from structlog.testing import capture_logs

from ortolan.inference import inference_pb2 as pb
from ortolan_server.lifecycle.manager import ModelManager
from ortolan_server.lifecycle.states import State
from ortolan_server.services.repository import RepositoryService
from tests import models
from tests.faulty_provider.commands import Commands
from tests.faulty_provider.faulty import Faulty
from tests.server.conftest import Manage
from tests.server.lifecycle.calls import Aside, Heard, add_one, until

CPU = '\n[[chain]]\nprovider = "cpu"\n'
BOTH = CPU + '\n[require]\nprovider = ["faulty", "cpu"]\n'
# Within it an opening has come to its provider, on a busy machine too.
SOON = "\n[failover]\nhang_after_s = 1\nprobe_after_s = 3600\nprobe_most_s = 3600\n"
OPENING = "m/1 rung 1 (faulty) is being opened since 2"


def index(manager: ModelManager, model: str) -> tuple[str, str]:
    """State and reason, as everybody may ask for them."""
    rows = RepositoryService(manager).index(pb.RepositoryIndexRequest()).models
    return next((row.state, row.reason) for row in rows if row.name == model)


def test_it_is_told_once_and_can_be_seen(manage: Manage, faulty: Faulty, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "models" / "m", toml=faulty.toml + SOON)
    manager = manage(tmp_path / "models", loaded=False)
    heard = Heard(manager)
    faulty.commands.say("hang_open")
    with capture_logs() as logs:
        load = Aside(lambda: manager.load("m"))
        until(lambda: len(heard.all) == 2)
        state, reason = index(manager, "m")
        assert (state, reason[: len(OPENING)]) == ("LOADING", OPENING)
        assert heard.all == ["m/1 LOADING"] * 2, "who watches is told, too"
        faulty.commands.say("ok")
        load.result()
    (told,) = [line for line in logs if line["event"] == "opening_takes_long"]
    assert (told["model"], told["version"], told["text"][: len(OPENING)]) == ("m", "1", OPENING)
    assert index(manager, "m") == ("READY", "")


def test_who_waits_for_it_says_so(manage: Manage, faulty: Faulty, tmp_path: Path) -> None:
    other = Commands(tmp_path / "other_commands")
    text = faulty.toml.replace(str(faulty.commands.file), str(other.file))
    models.save(models.add_one(), tmp_path / "models" / "m", toml=faulty.toml)
    models.save(models.add_one(), tmp_path / "models" / "other", toml=text + BOTH + SOON)
    manager = manage(tmp_path / "models", initial=["other"])
    faulty.commands.say("hang_open")
    load = Aside(lambda: manager.load("m"))
    faulty.commands.wait_for("hanging")
    version = manager.find("other", "")
    with capture_logs() as logs:
        other.say("lost")
        call = Aside(lambda: add_one(version, 1.0))
        until(lambda: any(line["event"] == "opening_takes_long" for line in logs))
        waits = f"; rung 2 is being opened; it waits until another session is open: {OPENING}"
        state, reason = index(manager, "other")
        assert (state, waits in reason) == ("DEGRADED", True)
        faulty.commands.say("ok")
        assert call.result() == 2.0
    load.result()
    assert "waits" not in version.reason


def test_an_unload_of_what_hangs_waits_for_it_and_ends_what_waits(
    manage: Manage, faulty: Faulty, tmp_path: Path
) -> None:
    models.save(models.add_one(), tmp_path / "models" / "m", toml=faulty.toml)
    manager = manage(tmp_path / "models", loaded=False)
    faulty.commands.say("hang_open")
    load = Aside(lambda: manager.load("m"))
    faulty.commands.wait_for("hanging")
    unload = Aside(lambda: manager.unload("m"))
    until(lambda: manager.known("m", "").cancelled)
    faulty.commands.say("ok")
    assert load.end() == "model 'm': version 1: the load was cancelled: the model was unloaded"
    unload.result()
    assert manager.known("m", "").state is State.FAILED
    assert faulty.commands.told().count("closed") == faulty.commands.told().count("opened")
