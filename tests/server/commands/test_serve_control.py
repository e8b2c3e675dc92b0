"""`ortolan serve --model-control`: what is loaded when, by real servers."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton

from ortolan_client import Client, HealthStatus, NotAllowed
from tests import models
from tests.conformance import triton_loads
from tests.serving import running_server

Script = Callable[..., subprocess.CompletedProcess[str]]
POLL = ("--model-control", "poll", "--poll-interval", "1s")
EXPLICIT = ("--model-control", "explicit")
X = np.zeros((1, 2), np.float32)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        models.save(models.add_one(), tmp_path / "models" / name)
    return tmp_path / "models"


def test_poll_follows_the_folder(repository: Path) -> None:
    with running_server(repository, *POLL) as server, Client(server.address) as client:
        assert client.health() is HealthStatus.SERVING
        models.save(models.add_one(), repository / "late")
        server.wait_for("model_ready", model="late")
        assert client.infer("late", {"x": X})["y"].tolist() == [[1.0, 1.0]]
        shutil.rmtree(repository / "a")
        server.wait_for("model_changed", model="a", state="UNLOADED")
        (repository / "b" / "1" / "model.onnx").write_text("no model")
        refused = server.wait_for("model_refused", model="b")
        assert "not a readable ONNX model" in str(refused["reason"])
        assert client.infer("b", {"x": X})["y"].tolist() == [[1.0, 1.0]]
        assert client.health() is HealthStatus.SERVING


def test_poll_takes_the_switch_of_a_mount_of_kubernetes(tmp_path: Path) -> None:
    mount = tmp_path / "models"
    for day, toml in (("..2024_01", ""), ("..2024_02", "[limits]\nqueue = 7\n")):
        models.save(models.add_one(), mount / day / "m", toml=toml)
    (mount / "..data").symlink_to("..2024_01")
    (mount / "m").symlink_to("..data/m")
    with running_server(mount, *POLL) as server, Client(server.address) as client:
        (mount / "..data_tmp").symlink_to("..2024_02")
        (mount / "..data_tmp").replace(mount / "..data")
        changed = server.wait_for("folder_changed", model="m")
        assert changed["files"] == ["1/model.onnx", "model.toml"]
        assert client.infer("m", {"x": X})["y"].tolist() == [[1.0, 1.0]]


def test_poll_takes_no_loads_on_demand(repository: Path) -> None:
    with running_server(repository, *POLL) as server, Client(server.address) as client:
        for control in (client.load, client.unload):
            with pytest.raises(NotAllowed, match="what changes in its repository, and nothing on demand"):
                control("a")
        assert client.plan("a").serving_provider == "cpu"


def test_a_server_that_polls_ends_at_a_signal(repository: Path) -> None:
    with running_server(repository, "--model-control", "poll", "--poll-interval", "1h") as server:
        assert server.stop() == 0


def test_explicit_loads_what_it_is_asked_for(repository: Path) -> None:
    with running_server(repository, *EXPLICIT) as server, Client(server.address) as client:
        assert client.health() is HealthStatus.NOT_SERVING
        client.load("b")
        assert client.health() is HealthStatus.SERVING
        assert {row.name: row.state for row in client.index()} == {"a": "UNLOADED", "b": "READY"}
        client.unload("b")
        assert client.health() is HealthStatus.NOT_SERVING


@pytest.mark.parametrize(("names", "served"), [(["b"], ["b"]), (["a", "b"], ["a", "b"]), (["*"], ["a", "b"])])
def test_explicit_loads_some_at_the_start(repository: Path, names: list[str], served: list[str]) -> None:
    flags = [word for name in names for word in ("--load-model", name)]
    with running_server(repository, *EXPLICIT, *flags) as server, Client(server.address) as client:
        assert [row.name for row in client.index(ready=True)] == served
        assert client.health() is HealthStatus.SERVING


def test_an_empty_explicit_server_can_be_ready(repository: Path) -> None:
    with running_server(repository, *EXPLICIT, "--ready-when-empty") as server, Client(server.address) as client:
        assert client.health() is HealthStatus.SERVING


@pytest.mark.parametrize("call", triton_loads.CALLS, ids=lambda call: call.__name__)
def test_tritons_client_sends_models_with_its_loads(call: Callable[[str], None], repository: Path) -> None:
    (repository / "a").rename(repository / "add_one")
    with running_server(repository, *EXPLICIT) as server:
        call(server.address)


def test_what_was_sent_goes_with_the_server(repository: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    content = models.add_one().SerializeToString()
    with running_server(repository, *EXPLICIT, env=environment) as server:
        with triton.InferenceServerClient(server.address) as client:
            client.load_model("sent", config="", files={"file:1/model.onnx": content})
        assert list(tmp_path.glob("ortolan-uploads-*/*/1/model.onnx"))
        assert server.stop() == 0
    assert not list(tmp_path.glob("ortolan-uploads-*"))


def test_what_a_killed_server_left_behind_is_not_loaded(repository: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    content = models.add_one().SerializeToString()
    with running_server(repository, *EXPLICIT, env=environment) as server:
        with triton.InferenceServerClient(server.address) as client:
            client.load_model("sent", config="", files={"file:1/model.onnx": content})
        server.process.kill()
        server.process.wait()
    with running_server(repository, *EXPLICIT, env=environment) as server, Client(server.address) as client:
        assert [row.name for row in client.index()] == ["a", "b"]


def test_a_model_that_is_not_there_is_named(script: Script, repository: Path) -> None:
    done = script("serve", str(repository), *EXPLICIT, "--load-model", "c", "--grpc-address", "127.0.0.1:0")
    assert done.returncode == 2
    assert "--load-model: no model c in" in done.stderr
    assert "it has: a, b" in done.stderr.replace("\n", " ")
