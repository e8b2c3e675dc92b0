"""The token of the commands that talk to a server: flag, environment, and what goes wrong."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ortolan_client import Client, NotAllowed
from ortolan_server.commands import app
from tests import models
from tests.serving import RunningServer, running_server

OURS = "a-token-that-only-tests-have"
STRANGE = "a-token-that-nobody-has"
COMMANDS = [("status",), ("infer", "m", "--random")]
Ortolan = Callable[..., Result]


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("secrets") / "tokens"
    path.write_text(f"# of this test\n\n{OURS}\nanother-token-of-some-length\n")
    return path


@pytest.fixture(scope="module")
def guarded(tokens: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    repository = tmp_path_factory.mktemp("models")
    models.save(models.add_one(), repository / "m")
    with running_server(repository, "--auth-tokens", str(tokens)) as server:
        yield server


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("way", ["flag", "file in the environment", "token in the environment"])
def test_a_token_is_sent(command: tuple[str, ...], way: str, guarded: RunningServer, tokens: Path) -> None:
    name, *rest = command
    environment = {
        "flag": {"ORTOLAN_TOKEN": STRANGE},
        "file in the environment": {"ORTOLAN_TOKEN_FILE": str(tokens)},
        "token in the environment": {"ORTOLAN_TOKEN": OURS},
    }[way]
    flags = ["--token-file", str(tokens)] if way == "flag" else []
    result = CliRunner().invoke(app, [name, guarded.address, *rest, *flags], env=environment)
    assert result.exit_code == 0, result.output


def test_without_one_the_server_says_what_it_wants(ortolan: Ortolan, guarded: RunningServer) -> None:
    result = ortolan("status", guarded.address)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "this server wants a token" in result.stderr
    assert "--token-file" in result.stderr
    assert ortolan("health", guarded.address).exit_code == 0


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read: No such file or directory"),
        ("# nothing\n", "has no token"),
        ("of two secret words", "has a letter that no token has"),
    ],
)
def test_a_file_without_a_token_is_a_usage_error(
    ortolan: Ortolan, tmp_path: Path, content: str | None, told: str
) -> None:
    path = tmp_path / "tokens"
    if content is not None:
        path.write_text(content)
    result = ortolan("status", "127.0.0.1:1", "--token-file", str(path))
    assert (result.exit_code, told in result.stderr) == (2, True)
    assert "secret" not in result.stderr


def test_what_to_try_has_the_flag(guarded: RunningServer, tokens: Path) -> None:
    guarded.wait_for_output(f"status {guarded.address} --token-file {tokens}")
    guarded.wait_for_output('-H "authorization: Bearer $ORTOLAN_TOKEN"')


def test_a_client_in_python(guarded: RunningServer) -> None:
    with Client(guarded.address, token=OURS) as client:
        assert client.server_ready()
        assert next(client.watch()).state == "READY"
    with Client(guarded.address, token=STRANGE) as client, pytest.raises(NotAllowed) as raised:
        next(client.watch())
    assert STRANGE not in str(raised.value)
    with pytest.raises(ValueError, match="no token has"):
        Client(guarded.address, token=f"{STRANGE}\n")
