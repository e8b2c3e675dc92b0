"""The client for Node.js: built, checked and tested by its own tools."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests import models
from tests.certificates import Chains
from tests.languages.child import CLIENTS, run
from tests.serving import running_server

FOLDER = CLIENTS / "node"
TOKEN = "of-this-test-alone"  # noqa: S105 - of a server that lives as long as its test

# `npm ci` downloads all dependencies.
pytestmark = pytest.mark.timeout(900)

Npm = Callable[..., str]


@pytest.fixture(scope="module")
def npm(toolchain: Callable[[str], str]) -> Npm:
    """Runs npm where the package is installed and built."""
    toolchain("node")
    program = toolchain("npm")

    def call(*arguments: str, env: Mapping[str, str] | None = None) -> str:
        return run(FOLDER, program, *arguments, env=env)

    call("ci")  # which also builds
    return call


def test_style_and_types(npm: Npm) -> None:
    npm("run", "lint")


def test_package_against_live_servers(npm: Npm, server_env: Mapping[str, str], chains: Chains, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "models" / "add_one")
    tokens = tmp_path / "tokens"
    tokens.write_text(TOKEN)
    files = ("--tls-cert", chains.right.cert, "--tls-key", chains.right.key, "--tls-client-ca", chains.client_ca)
    with running_server(tmp_path / "models", *map(str, files), "--auth-tokens", str(tokens)) as server:
        secure = {
            "ORTOLAN_SECURE_ADDRESS": server.address,
            "ORTOLAN_CA": str(chains.ca),
            "ORTOLAN_CERT": str(chains.client.cert),
            "ORTOLAN_KEY": str(chains.client.key),
            "ORTOLAN_TOKEN": TOKEN,
        }
        output = npm("test", env={**server_env, **secure})
    assert "skipped 0" in output


def test_example(npm: Npm, example_env: Mapping[str, str]) -> None:
    address, labels = example_env["ORTOLAN_ADDRESS"], example_env["ORTOLAN_LABELS"]
    said = npm("run", "--silent", "classify", "--", address, labels, __file__)
    assert f"{__file__}: python" in said
    assert "magika: KEPT on cpu, nodes: cpu" in said
