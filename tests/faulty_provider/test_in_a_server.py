"""The provider in a chain, and in a server that runs while its commands change."""

from pathlib import Path

import numpy as np
import pytest

from ortolan_backends.runtime.log import RuntimeLog
from ortolan_backends.runtime.model import read_model
from ortolan_client import Client, OrtolanClientError
from ortolan_server.chains.registry import Registry
from ortolan_server.chains.report import ChainReport
from ortolan_server.repository import parse_model_toml
from tests import models
from tests.faulty_provider.faulty import Faulty
from tests.serving import running_server

ZEROS = {"x": np.zeros((1, 2), np.float32)}


def climb(faulty: Faulty, folder: Path, log: RuntimeLog) -> ChainReport:
    registry = Registry(faulty.catalog(), log, allow_degraded=True)
    config = parse_model_toml({"chain": [faulty.rung, {"provider": "cpu"}]}, "test")
    return registry.open(read_model(models.save(models.add_one(), folder)), registry.compose(config, "test"))


def test_it_is_a_rung_of_a_chain(faulty: Faulty, tmp_path: Path, runtime_log: RuntimeLog) -> None:
    report = climb(faulty, tmp_path, runtime_log)
    assert (report.provider, report.rung) == ("faulty", 1)
    faulty.commands.say("absent")
    report = climb(faulty, tmp_path, runtime_log)
    assert (report.provider, report.rung) == ("cpu", 2)
    assert report.attempts[0].reason == "the device is told to be absent (tell it to be ok)"


def test_a_server_obeys_while_it_runs(faulty: Faulty, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "models" / "m", toml=faulty.toml)
    with (
        running_server(tmp_path / "models", env=faulty.environment) as server,
        Client(server.address) as client,
    ):
        assert client.infer("m", ZEROS)["y"].tolist() == [[1, 1]]
        faulty.commands.say("error")
        with pytest.raises(OrtolanClientError, match="kernel error"):
            client.infer("m", ZEROS)
        faulty.commands.say("wrong 1")
        assert client.infer("m", ZEROS)["y"].tolist() == [[2, 2]]
    assert {"opened", "failed error"} <= set(faulty.commands.told())
