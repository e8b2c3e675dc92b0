"""`ortolan serve` as a process: how it starts, what it refuses, and how it ends."""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pytest

from ortolan_client import Client, HealthStatus
from tests import models
from tests.backends.third_party import ECHO, install
from tests.distributions import publish
from tests.faulty_provider.faulty import Faulty
from tests.serving import running_server

Script = Callable[..., subprocess.CompletedProcess[str]]
SLOW_S = 60.0
BROKEN = '[require]\nforbid_on_cpu = ["Add"]\n'


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    models.save(models.add_one(), tmp_path / "models" / "m")
    return tmp_path / "models"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_well(repository: Path, number: signal.Signals) -> None:
    with running_server(repository) as server:
        assert server.stop(number) == 0
        events = [event["event"] for event in server.events]
    assert events.index("server_listening") < events.index("model_ready") < events.index("models_loaded")
    assert events[-1] == "server_stopped"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_while_a_model_loads(number: signal.Signals, tmp_path: Path) -> None:
    packages, repository = tmp_path / "packages", tmp_path / "models"
    packages.mkdir()
    environment = install(slow_backend(tmp_path / "source"), packages)
    models.save(models.add_one(), repository / "m", toml='[[chain]]\nprovider = "slow"\n')
    with running_server(repository, env=environment, wait_for="server_listening") as server:
        server.wait_for("stderr_written", text="attaching")
        started_s = time.monotonic()
        assert server.stop(number) == 0
        assert time.monotonic() - started_s < SLOW_S / 2


def test_a_signal_ends_the_load_itself_where_that_can_be(tmp_path: Path) -> None:
    models.save(models.long_to_open(100_000), tmp_path / "m")  # seconds: the signal comes well before its end
    models.save(models.add_one(), tmp_path / "n")
    with running_server(tmp_path, "--log-level", "debug", wait_for="server_listening") as server:
        server.wait_for("model_changed", model="m", state="LOADING")
        assert server.stop() == 0
    failed = [event for event in server.events if event["event"] in ("model_failed", "model_ready")]
    reasons = {event["model"]: event.get("reason") for event in failed}
    assert reasons == {"m": "the load was cancelled: the server is stopping"}, "the rest was not begun"


def test_a_model_that_has_no_room_is_refused(repository: Path) -> None:
    with running_server(repository, "--memory-limit", "150B") as server:
        failed = server.wait_for("model_failed", model="m")
    assert "refused at memory: it needs 200 bytes of host memory, and 0 bytes of 150 bytes" in str(failed["reason"])


def slow_backend(folder: Path) -> Path:
    """A third party's package whose backend takes its time to attach."""
    shutil.copytree(ECHO, folder)
    module = folder / "ortolan_backend_echo.py"
    code = module.read_text().replace('name: str = "echo"', 'name: str = "slow"')
    waiting = (
        f"import os, time; os.write(2, b'attaching\\n'); time.sleep({SLOW_S})\n        session_options.add_provider("
    )
    module.write_text(code.replace("session_options.add_provider(", waiting))
    project = folder / "pyproject.toml"
    project.write_text(project.read_text().replace('echo = "ortolan', 'slow = "ortolan'))
    return folder


def test_it_says_what_to_try(repository: Path) -> None:
    with running_server(repository) as server:
        address = server.address
        server.wait_for_output("node by node")
        server.wait_for_output("GetAssignment")
        assert server.stop() == 0
    output = "".join(server.output)
    assert f"curl http://{server.http_address}/metrics" in output
    assert f"Ortolan serves 1 of 1 models on {address}" in output
    assert f"status {address}" in output
    assert f"infer {address} m --random" in output
    assert f"grpcurl -plaintext {address} ortolan.v1.ProviderReflection/ListAssignments" in output


def test_an_empty_repository_is_not_ready(tmp_path: Path) -> None:
    with running_server(tmp_path) as server, Client(server.address) as client:
        assert client.health() is HealthStatus.NOT_SERVING


def test_unless_it_is_told_otherwise(tmp_path: Path) -> None:
    with running_server(tmp_path, "--ready-when-empty") as server, Client(server.address) as client:
        assert client.health() is HealthStatus.SERVING


def test_a_broken_contract_does_not_end_it(tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m", toml=BROKEN)
    with running_server(tmp_path) as server, Client(server.address) as client:
        failed = server.wait_for("model_failed", model="m")
        assert "1 Add" in str(failed["reason"])
        assert client.health("m") is HealthStatus.NOT_SERVING


def test_unless_it_shall(script: Script, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m", toml=BROKEN)
    done = script("serve", str(tmp_path), "--grpc-address", "127.0.0.1:0", "--http-address", "off", "--exit-on-broken")
    assert done.returncode == 3, done.stderr
    assert '"event": "contract_broken"' in done.stderr


def test_a_file_that_is_no_model_is_no_broken_contract(tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m").write_text("no model")
    with running_server(tmp_path, "--exit-on-broken") as server:
        server.wait_for("model_failed", model="m")
        assert server.process.poll() is None


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--grpc-address", "localhost"], "--grpc-address: must be host:port"),
        (["--grpc-address", "1.2.3.4:70000"], "--grpc-address: the port must be at most 65535"),
        (["--http-address", "8002"], "--http-address: must be host:port"),
        (["--max-message-size", "12 parsecs"], "--max-message-size: "),
        (["--max-message-size", "1B"], "--max-message-size: must be greater than or equal to 1024"),
        (["--default-deadline", "0s"], "--default-deadline: must be greater than 0"),
        (["--drain-timeout", "soon"], "--drain-timeout: "),
        (["--max-in-flight", "0"], "--max-in-flight: must be greater than or equal to 1"),
        (["--max-streams", "many"], "--max-streams"),
        (["--log-level", "loud"], "'loud' is not one of debug, info, warning, error"),
        (["--colour"], "--colour"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_wrong_flag_is_named_with_what_is_allowed(
    ortolan: Callable[..., object], repository: Path, flags: list[str], told: str
) -> None:
    done = ortolan("serve", str(repository), *flags)
    assert getattr(done, "exit_code", None) == 2
    assert told in " ".join(str(getattr(done, "stderr", "")).replace("│", " ").split())


def test_no_repository_at_all(script: Script, tmp_path: Path) -> None:
    done = script("serve", str(tmp_path / "nothing"))
    assert done.returncode == 2
    assert done.stderr.startswith(f"ortolan: {tmp_path}/nothing: does not exist")
    assert done.stderr.count("\n") == 1


def test_an_address_in_use(script: Script, repository: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = script("serve", str(repository), "--grpc-address", address)
    assert done.returncode == 1
    assert f"ortolan: cannot listen on {address}: it is in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_http_address_in_use(script: Script, repository: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = script("serve", str(repository), "--grpc-address", "127.0.0.1:0", "--http-address", address)
    assert done.returncode == 1
    told = f"ortolan: cannot listen on {address}: it is in use or not an address of this host (--http-address names"
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_without_http(repository: Path) -> None:
    with running_server(repository, "--http-address", "off") as server:
        assert server.http_address == "off"
        server.wait_for_output("GetAssignment")
        assert "curl http" not in "".join(server.output)


def test_readyz_says_that_it_drains(faulty: Faulty, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "models" / "m", toml=faulty.toml)
    with running_server(tmp_path / "models", env=faulty.environment) as server, Client(server.address) as client:
        address = server.http_address
        assert readyz(address) == 200
        faulty.commands.say("hang")  # so it drains until it is told otherwise
        with ThreadPoolExecutor(1) as aside:
            call = aside.submit(client.infer, "m", {"x": np.ones((1, 2), np.float32)})
            faulty.commands.wait_for("hanging")
            server.process.terminate()
            server.wait_for("server_draining")
            said = 200
            while said == 200 and not call.done():
                with suppress(OSError):
                    said = readyz(address)
            assert said == 503
            faulty.commands.say("ok")
            assert call.result()["y"].tolist() == [[2.0, 2.0]]
        assert server.process.wait(SLOW_S) == 0


def readyz(address: str) -> int:
    connection = HTTPConnection(address)
    connection.request("GET", "/readyz")
    status = connection.getresponse().status
    connection.close()
    return status


def test_a_unix_socket(repository: Path, tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/s"
    with running_server(repository, "--grpc-address", address) as server, Client(server.address) as client:
        assert server.address == address
        assert client.health("m") is HealthStatus.SERVING


def test_a_wider_address_is_warned_of_and_takes_no_control(repository: Path) -> None:
    with running_server(repository, "--grpc-address", "0.0.0.0:0") as server:
        warning = server.wait_for("listening_beyond_loopback")
        assert warning["level"] == "warning"
        assert warning["address"] == server.address


def test_a_wider_http_address_is_warned_of_too(repository: Path) -> None:
    with running_server(repository, "--http-address", "0.0.0.0:0") as server:
        warning = server.wait_for("listening_beyond_loopback")
        assert warning["address"] == server.http_address
        assert "read the metrics" in str(warning["text"])


@pytest.mark.parametrize("command", ["serve", "plan"])
def test_two_wheels_are_refused_with_the_line_that_mends_it(script: Script, tmp_path: Path, command: str) -> None:
    publish(tmp_path, "onnxruntime-other", "9.9", "onnxruntime/__init__.py")
    done = script(command, str(tmp_path), path=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.startswith("ortolan: 2 ONNX Runtime wheels overwrite each other's files: ")
    assert "pip uninstall -y " in done.stderr
    assert "&& pip install onnxruntime" in done.stderr
    assert done.stderr.count("\n") == 1
