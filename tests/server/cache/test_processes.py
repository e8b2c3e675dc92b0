"""Processes that want the same at once: one builds, the others wait for it and take what it built."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import models

ROOT = Path(__file__).parents[3]
CHILD = """
import os, resource, sys
from pathlib import Path
from ortolan_backends.runtime.log import RuntimeLog
from ortolan_backends.runtime.model import read_model
from ortolan_server.cache.cache import Cache
from ortolan_server.chains.registry import Registry
from ortolan_server.repository import parse_model_toml
from tests.server.cache.fakes import catalog
registry = Registry(catalog(), RuntimeLog(lambda line: None), cache=Cache(Path(sys.argv[2]), 1 << 30))
registry._log.start()
model = read_model(Path(sys.argv[1]))
print("looking", flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(os.environ.get("ROOM", -1)), -1))
chain = registry.compose(parse_model_toml({"chain": [{"provider": "gated"}]}, "test"), "test")
attempt = registry.open(model, chain).attempts[0]
print(attempt.cache.result, flush=True)
print(attempt.outcome, attempt.cache.reason, flush=True)
"""


@contextmanager
def loading(model: Path, cache: Path, gate: Path, room_bytes: int = -1) -> Iterator[subprocess.Popen[str]]:
    """`room_bytes`: more than that it cannot write to a file."""
    environment = {**os.environ, "GATE": str(gate), "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    environment["ROOM"] = str(room_bytes)
    command = [sys.executable, "-c", CHILD, str(model), str(cache)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str], word: str) -> None:
    """Reads on until the process has said it; structlog's lines are between."""
    assert process.stdout is not None
    assert any(line.strip() == word for line in process.stdout), f"it never said {word!r}"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return models.save(models.add_one(), tmp_path / "m")


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    path = tmp_path / "gate"
    os.mkfifo(path)
    return path


def open_gate(gate: Path) -> None:
    gate.open("w").close()


def test_two_processes_that_load_at_once_build_once(model: Path, tmp_path: Path, gate: Path) -> None:
    with loading(model, tmp_path / "cache", gate) as builder:
        said(builder, "building")
        with loading(model, tmp_path / "cache", gate) as waiter:
            said(waiter, "looking")
            open_gate(gate)
            said(builder, "MISS")
            assert waiter.stdout is not None
            rest = waiter.stdout.read().split()
    assert "HIT" in rest
    assert "building" not in rest
    assert len(list((tmp_path / "cache").glob("gated/*/files/*"))) == 1


def test_a_builder_that_is_killed_leaves_no_entry_and_no_lock(model: Path, tmp_path: Path, gate: Path) -> None:
    with loading(model, tmp_path / "cache", gate) as killed:
        said(killed, "building")
        killed.kill()
        killed.wait()
    with loading(model, tmp_path / "cache", gate) as next_one:
        said(next_one, "building")
        open_gate(gate)
        said(next_one, "MISS")


def test_a_disk_without_room_keeps_no_model_from_opening(model: Path, tmp_path: Path, gate: Path) -> None:
    cache = tmp_path / "cache"
    with loading(model, cache, gate, room_bytes=100) as child:
        said(child, "building")
        open_gate(gate)
        (entry,) = (path for path in (cache / "gated").iterdir() if path.is_dir())
        said(child, "MISS")
        said(child, f"OPENED not kept: {entry}/files takes no more: File too large")
    assert not entry.exists()
