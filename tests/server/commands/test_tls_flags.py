"""The commands that talk to a server, over TLS: flags, environment, and what goes wrong."""

import subprocess
from collections.abc import Callable, Iterator

import grpc
import pytest
from typer.testing import CliRunner, Result

from ortolan_server.commands import app
from tests.certificates import Chains
from tests.clients.canned import CannedServer

Ortolan = Callable[..., Result]
COMMANDS = [("status",), ("infer", "simple", "--random"), ("health", "simple")]


@pytest.fixture
def secured(chains: Chains) -> Iterator[CannedServer]:
    """Demands a certificate from its clients."""
    credentials = grpc.ssl_server_credentials(
        [(chains.right.key.read_bytes(), chains.right.cert.read_bytes())],
        root_certificates=chains.client_ca.read_bytes(),
        require_client_auth=True,
    )
    with CannedServer(credentials=credentials) as server:
        yield server


def flags(chains: Chains) -> list[str]:
    return [
        f"--tls-ca={chains.ca}",
        f"--tls-cert={chains.client.cert}",
        f"--tls-key={chains.client.key}",
        "--tls-server-name=localhost",
    ]


@pytest.mark.parametrize("command", COMMANDS)
def test_flags_are_taken(command: tuple[str, ...], ortolan: Ortolan, secured: CannedServer, chains: Chains) -> None:
    name, *rest = command
    result = ortolan(name, secured.address, *rest, *flags(chains))
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("command", COMMANDS)
def test_the_environment_is_taken(command: tuple[str, ...], secured: CannedServer, chains: Chains) -> None:
    name, *rest = command
    environment = {
        "ORTOLAN_TLS_CA": str(chains.ca),
        "ORTOLAN_TLS_CERT": str(chains.client.cert),
        "ORTOLAN_TLS_KEY": str(chains.client.key),
        "ORTOLAN_TLS_SERVER_NAME": "localhost",
    }
    result = CliRunner().invoke(app, [name, secured.address, *rest], env=environment)
    assert result.exit_code == 0, result.output


def test_what_is_wrong_is_one_line(
    ortolan: Ortolan, secured: CannedServer, canned: CannedServer, chains: Chains
) -> None:
    plain = ortolan("status", secured.address)
    assert (plain.exit_code, plain.stderr.count("\n")) == (1, 1)
    assert "it may want TLS, which is Client(tls=…) or --tls-ca" in plain.stderr
    unknown = ortolan("status", secured.address, "--tls")
    assert (unknown.exit_code, "no authority in grpcio's public roots" in unknown.stderr) == (1, True)
    bare = ortolan("status", secured.address, f"--tls-ca={chains.ca}")
    assert (bare.exit_code, "demands a client certificate" in bare.stderr) == (1, True)
    secure = ortolan("status", canned.address, f"--tls-ca={chains.ca}")
    assert (secure.exit_code, "the server does not speak TLS on this port" in secure.stderr) == (1, True)


def test_flags_that_cannot_be_used_are_usage_errors(ortolan: Ortolan) -> None:
    missing = ortolan("status", "127.0.0.1:1", "--tls-ca", "nowhere.pem")
    assert (missing.exit_code, missing.stderr) == (
        2,
        "ortolan: TLS: ca nowhere.pem cannot be read: No such file or directory\n",
    )
    half = ortolan("status", "127.0.0.1:1", "--tls-cert", "me.pem")
    assert (half.exit_code, "--tls-cert and --tls-key go together" in half.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (("--tls-cert", "a.pem"), 2, "--tls-cert needs --tls-key"),
        (
            ("--tls-cert", "a.pem", "--tls-key", "a.key"),
            2,
            "--tls-cert a.pem: cannot be read: No such file or directory",
        ),
    ],
)
def test_serve_refuses_before_it_listens(
    arguments: tuple[str, ...],
    status: int,
    text: str,
    script: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: object,
) -> None:
    done = script("serve", str(tmp_path), "--grpc-address", "127.0.0.1:0", "--http-address", "off", *arguments)
    assert done.returncode == status, done.stderr
    assert text in " ".join(done.stderr.replace("│", " ").split())
    assert "server_listening" not in done.stderr
