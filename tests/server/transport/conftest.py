"""One server for the tests of the wire, with models that are quick, slow and broken."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ortolan_client import Client
from tests import models
from tests.serving import RunningServer, running_server

ENDLESS = 10**15
BROKEN = '[[chain]]\nprovider = "cpu"\n[require]\nnode_share = 1.0\nforbid_on_cpu = ["Add"]\n'
DEGRADED = BROKEN + 'otherwise = "degrade"\n'


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    models.save(models.add_one(), folder / "add_one")
    models.save(models.countdown(), folder / "countdown", toml="[limits]\nqueue = 1\n")
    models.save(models.add_one(), folder / "broken", toml="required = false\n" + BROKEN)
    models.save(models.add_one(), folder / "degraded", toml=DEGRADED)
    return folder


@pytest.fixture(scope="session")
def server(repository: Path) -> Iterator[RunningServer]:
    with running_server(repository) as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[Client]:
    with Client(server.address) as connected:
        yield connected
