"""What the tests of every language share: servers to talk to, and how a language's own test command is run."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.languages.repository import write_repository
from tests.serving import running_server

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "clients" / "vectors.json"


@pytest.fixture(scope="session")
def server_env(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """An environment for child processes: this one, with ORTOLAN_ADDRESS (HOST:PORT of a server that has the models of
    the vectors) and ORTOLAN_VECTORS (the path of their file).
    """
    repository = tmp_path_factory.mktemp("models")
    write_repository(repository)
    with running_server(repository) as server:
        yield {**os.environ, "ORTOLAN_ADDRESS": server.address, "ORTOLAN_VECTORS": str(VECTORS)}


@pytest.fixture(scope="session")
def example_env(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """The same with a server of the example models `digits` and `magika`, and ORTOLAN_LABELS, the path of the names of
    magika's classes.

    Prepares the example models, which are downloaded where they are not there yet.
    """
    prepared = subprocess.run(
        [sys.executable, ROOT / "examples" / "prepare.py"], capture_output=True, text=True, check=False
    )
    assert prepared.returncode == 0, prepared.stdout + prepared.stderr
    magika = ROOT / "examples" / "models" / "magika"
    repository = tmp_path_factory.mktemp("examples")
    for name in ("digits", "magika"):
        shutil.copytree(magika.with_name(name), repository / name)
    with running_server(repository) as server:
        yield {**os.environ, "ORTOLAN_ADDRESS": server.address, "ORTOLAN_LABELS": str(magika / "labels.txt")}
