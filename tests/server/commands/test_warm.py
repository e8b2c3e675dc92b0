"""`ortolan warm` and `ortolan cache`: what they print, and how they end."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from ortolan_server.cache.locks import KeyLock
from tests import models

Ortolan = Callable[..., Result]
ROOT = Path(__file__).parents[3]
CHAIN = '[[chain]]\nprovider = "keeping"\n[[chain]]\nprovider = "cpu"\n'


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Backends that keep what they compile, as a package publishes them."""
    info = tmp_path / "packages" / "ortolan_keeping-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ortolan-keeping\nVersion: 1.0\n")
    entries = [f"{name} = tests.server.cache.fakes:{name}" for name in ("keeping", "refusing", "unreadable")]
    (info / "entry_points.txt").write_text("\n".join(["[ortolan.backends]", *entries]))
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ORTOLAN_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name in ("one", "two"):
        models.save(models.add_one(), tmp_path / "models" / name, toml=CHAIN)
    models.save(models.simple(), tmp_path / "models" / "two", version=2)
    return tmp_path / "models"


pytestmark = pytest.mark.usefixtures("published")


def listed(ortolan: Ortolan, *arguments: str) -> list[dict[str, object]]:
    done = ortolan(*arguments, "--json")
    assert done.exit_code == 0, done.output
    found: list[dict[str, object]] = json.loads(done.stdout)
    return found


def test_a_repository_is_built_and_then_there(ortolan: Ortolan, repository: Path, folder: Path) -> None:
    done = ortolan("warm", str(repository))
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert [line.split()[:4] for line in lines[1:3]] == [
        ["one/1", "1", "keeping", "BUILT"],
        ["two/2", "1", "keeping", "BUILT"],
    ]
    assert lines[-1] == f"kept in {folder}"
    again = listed(ortolan, "warm", str(repository))
    assert [(each["model"], each["version"], each["outcome"]) for each in again] == [
        ("one", "1", "HIT"),
        ("two", "2", "HIT"),
    ]
    assert all(Path(str(each["folder"])).is_relative_to(folder) for each in again)


def test_a_failure_is_told_and_the_others_are_built(ortolan: Ortolan, repository: Path, folder: Path) -> None:
    models.save(models.add_one(), repository / "bad", toml=CHAIN.replace("keeping", "refusing"))
    models.save(models.add_one(), repository / "broken", toml="nonsense = 1\n")
    done = ortolan("warm", str(repository))
    assert done.exit_code == 1
    assert "no memory for the build" in done.stdout
    assert "nonsense: unknown key" in done.stdout
    assert done.stdout.count("BUILT") == 2


def test_what_cannot_be_kept_is_a_failure(ortolan: Ortolan, tmp_path: Path, folder: Path) -> None:
    models.save(models.add_one(), tmp_path / "m", toml=CHAIN.replace("keeping", "unreadable"))
    done = ortolan("warm", str(tmp_path / "m"))
    assert done.exit_code == 1
    assert "not kept: its reader is missing" in done.stdout


def test_models_that_keep_nothing_are_fine(ortolan: Ortolan, tmp_path: Path, folder: Path) -> None:
    done = ortolan("warm", str(models.save(models.add_one(), tmp_path / "m")))
    assert (done.exit_code, done.stdout) == (0, "no rung of these models keeps what it compiles\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--cache-dir", "off"], "--cache-dir off: there is nothing to keep it in"),
        (["--cache-size", "much"], "--cache-size: must be a size"),
    ],
)
def test_a_wrong_word_is_usage(ortolan: Ortolan, repository: Path, arguments: list[str], told: str) -> None:
    done = ortolan("warm", str(repository), *arguments)
    assert done.exit_code == 2
    assert told in done.output


def test_a_folder_that_is_not_safe_is_refused(ortolan: Ortolan, repository: Path, folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)
    done = ortolan("warm", str(repository))
    assert done.exit_code == 1
    assert "others may write to it" in done.output
    assert not list(folder.iterdir())


def test_the_users_own_folder_is_the_default(
    ortolan: Ortolan, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert ortolan("warm", str(repository)).exit_code == 0
    assert list((tmp_path / "xdg" / "ortolan" / "keeping").iterdir())
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert ortolan("warm", str(repository)).exit_code == 0
    assert list((tmp_path / "home" / ".cache" / "ortolan" / "keeping").iterdir())


def test_a_bar_on_a_terminal_and_nothing_else_there(tmp_path: Path, repository: Path, folder: Path) -> None:
    paths = [str(tmp_path / "packages"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "TERM": "xterm"}
    leader, follower = pty.openpty()
    command = [sys.executable, "-c", "from ortolan_server.entry import main; main()", "warm", str(repository), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=follower, env=environment, text=True) as process:
        os.close(follower)
        shown = b"".join(iter(lambda: _read(leader), b"")).decode()
        assert process.stdout is not None
        assert [each["outcome"] for each in json.loads(process.stdout.read())] == ["BUILT", "BUILT"]
    os.close(leader)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert "2/2" in plain
    assert "cache_used" not in plain


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:  # the terminal has no other end any more
        return b""


def test_list_tells_what_each_was_built_from(ortolan: Ortolan, repository: Path, folder: Path) -> None:
    told = ortolan("cache", "list").stdout.split()  # folded at 80 columns
    assert told == ["0", "entries,", "0", "bytes,", "in", str(folder)]
    ortolan("warm", str(repository))
    found = {str(each["model"]): each for each in listed(ortolan, "cache", "list")}
    one = found[str(repository / "one" / "1" / "model.onnx")]
    assert (one["provider"], one["whole"], one["in_use"], one["versions"]) == (
        "keeping",
        True,
        False,
        {"driver": "1.0"},
    )
    table = ortolan("cache", "list").stdout
    assert "one/1" in table
    assert "two/2" in table
    assert "2 entries, " in table


def test_prune_takes_the_longest_unused_and_never_one_in_use(ortolan: Ortolan, repository: Path, folder: Path) -> None:
    ortolan("warm", str(repository))
    locks = sorted(folder.glob("keeping/*.lock"))
    for lock in locks:
        os.utime(lock, (1, 1))
    used = KeyLock(locks[0])
    used.share()
    assert "1 of 2 entries would be removed" in ortolan("cache", "prune", "--older-than", "30d", "--dry-run").stdout
    assert len(listed(ortolan, "cache", "list")) == 2
    done = ortolan("cache", "prune", "--older-than", "30d")
    assert "1 of 2 entries removed" in done.stdout
    assert "1 in use" in done.stdout
    used.close()
    assert "0 of 1 entries removed" in ortolan("cache", "prune", "--size", "1GiB").stdout
    assert "1 of 1 entries removed" in ortolan("cache", "prune", "--all").stdout
    assert listed(ortolan, "cache", "list") == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "name one of --all, --older-than and --size"),
        (["--all", "--size", "1GiB"], "name one of --all, --older-than and --size"),
        (["--older-than", "soon"], "--older-than must be a duration"),
        (["--size", "much"], "--size must be a size"),
        (["--all", "--cache-dir", "off"], "--cache-dir off: there is no cache"),
    ],
)
def test_prune_wants_one_rule(ortolan: Ortolan, folder: Path, arguments: list[str], told: str) -> None:
    done = ortolan("cache", "prune", *arguments)
    assert done.exit_code == 2
    assert told in done.output
