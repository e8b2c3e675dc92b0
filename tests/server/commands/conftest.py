import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from typer.testing import CliRunner, Result

from ortolan_server.commands import app
from tests.clients.canned import CannedServer

Ortolan = Callable[..., Result]


@pytest.fixture
def canned() -> Iterator[CannedServer]:
    with CannedServer() as server:
        yield server


@pytest.fixture
def ortolan() -> Ortolan:
    """Runs `ortolan` with these arguments in this process, in a window of 80 columns that is no terminal."""

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "80"})

    return run


@pytest.fixture
def script() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `ortolan` in a process of its own, after `before` (Python code) and with `path` first on sys.path."""

    def run(*arguments: str, before: str = "", path: str = "") -> subprocess.CompletedProcess[str]:
        code = f"{before}\nfrom ortolan_server.entry import main\nmain()"
        paths = [path, os.environ.get("PYTHONPATH", "")]
        environment = {**os.environ, "COLUMNS": "80", "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
            env=environment,
        )

    return run
