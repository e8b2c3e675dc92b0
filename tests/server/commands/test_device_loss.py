"""A real server whose device is lost in a way that only a new process cures."""

from pathlib import Path

import numpy as np
import pytest

from ortolan_client import Client, Unavailable
from tests import models
from tests.faulty_provider.faulty import Faulty
from tests.serving import STOP_LIMIT_S, running_server

X = np.ones((1, 2), np.float32)
BOTH = '\n[[chain]]\nprovider = "cpu"\n\n[require]\nprovider = ["faulty", "cpu"]\n'
STRICT = '\n[[chain]]\nprovider = "cpu"\n'


def test_it_serves_on_where_the_contract_allows_it(faulty: Faulty, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "models" / "m", toml=faulty.toml + BOTH)
    with running_server(tmp_path / "models", env=faulty.environment) as server, Client(server.address) as client:
        faulty.commands.say("sticky")
        assert client.infer("m", {"x": X})["y"].tolist() == [[2.0, 2.0]]
        (provider,) = client.providers(["faulty"])
        assert "lost by this process while serving: " in provider.reason
        assert provider.checks[0].mend.startswith("restart the server")
        assert client.server_ready()


def test_it_is_not_serving_where_the_contract_does_not(faulty: Faulty, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "models" / "m", toml=faulty.toml + STRICT)
    with running_server(tmp_path / "models", env=faulty.environment) as server, Client(server.address) as client:
        faulty.commands.say("sticky")
        with pytest.raises(Unavailable, match="CUDA failure 719"):
            client.infer("m", {"x": X})
        assert not client.server_ready()
        assert client.health("m").name == "NOT_SERVING"


@pytest.mark.parametrize("contract", [BOTH, STRICT])
def test_under_a_supervisor_it_drains_and_ends_with_its_own_status(
    faulty: Faulty, tmp_path: Path, contract: str
) -> None:
    models.save(models.add_one(), tmp_path / "models" / "m", toml=faulty.toml + contract)
    with (
        running_server(tmp_path / "models", "--exit-on-device-loss", env=faulty.environment) as server,
        Client(server.address) as client,
    ):
        faulty.commands.say("sticky")
        if contract == BOTH:
            assert client.infer("m", {"x": X})["y"].tolist() == [[2.0, 2.0]]
        else:
            with pytest.raises(Unavailable):  # by the model, or by the end of the server, which its retries meet
                client.infer("m", {"x": X})
        assert server.process.wait(STOP_LIMIT_S) == 4
        server.wait_for("device_lost")
        server.wait_for("server_stopped", finished=True)


def test_a_run_that_hangs_does_not_keep_the_server_from_ending(faulty: Faulty, tmp_path: Path) -> None:
    soon = "\n[failover]\nhang_after_s = 1.0\n"
    models.save(models.add_one(), tmp_path / "models" / "m", toml=faulty.toml + BOTH + soon)
    with running_server(tmp_path / "models", env=faulty.environment) as server, Client(server.address) as client:
        faulty.commands.say("hang")
        assert client.infer("m", {"x": X})["y"].tolist() == [[2.0, 2.0]]
        server.wait_for("model_failed_over")
        # It still hangs; the fixture's end asks for status 0.
