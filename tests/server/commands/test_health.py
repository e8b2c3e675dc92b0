"""`ortolan health`: a word and an exit status, for the server and for what it serves."""

import json
from collections.abc import Callable

import pytest
from typer.testing import Result

from tests.clients.canned import CannedServer

Ortolan = Callable[..., Result]


@pytest.mark.parametrize(
    ("service", "code", "word"), [("", 1, "NOT_SERVING"), ("simple", 0, "SERVING"), ("words", 1, "UNKNOWN")]
)
def test_a_word_and_an_exit_status(ortolan: Ortolan, canned: CannedServer, service: str, code: int, word: str) -> None:
    result = ortolan("health", canned.address, *([service] if service else []))
    assert (result.exit_code, result.stdout, result.stderr) == (code, f"{word}\n", "")


def test_json(ortolan: Ortolan, canned: CannedServer) -> None:
    result = ortolan("health", canned.address, "simple", "--json")
    assert json.loads(result.stdout) == {"address": canned.address, "service": "simple", "status": "SERVING"}
    assert result.exit_code == 0
    server = ortolan("health", canned.address, "--json")
    assert (server.exit_code, json.loads(server.stdout)["status"]) == (1, "NOT_SERVING")


def test_what_the_server_does_not_know(ortolan: Ortolan, canned: CannedServer) -> None:
    result = ortolan("health", canned.address, "gone")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"ortolan: {canned.address} knows no 'gone'; ask for a model, `model/version` or `model#contract`\n"
    )


def test_nobody_there(ortolan: Ortolan) -> None:
    result = ortolan("health", "unix:/nowhere/at-all.sock")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)


def test_a_server_that_hangs(ortolan: Ortolan, canned: CannedServer) -> None:
    canned.answering.clear()
    result = ortolan("health", canned.address, "simple", "--timeout", "0.2")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"ortolan: {canned.address}: no answer in time (--timeout)")


def test_no_time_is_no_timeout(ortolan: Ortolan, canned: CannedServer) -> None:
    assert ortolan("health", canned.address, "--timeout", "0").exit_code == 2
