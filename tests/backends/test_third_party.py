"""A backend in a package of somebody else is found, listed, and held to the same contract."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LOOK = """
import json
from ortolan_backends.catalog import Catalog
from ortolan_backends.errors import InvalidOption
from ortolan_backends.options import describe, encode, parse_options

catalog = Catalog.from_entry_points()
echo = catalog.get("echo")
try:
    parse_options(echo, {"repeat": 2})
    refusal = ""
except InvalidOption as error:
    refusal = str(error)
print(json.dumps({
    "names": catalog.names(),
    "availability": echo.probe().availability,
    "options": [doc.name for doc in describe(echo.options)],
    "encoded": encode(parse_options(echo, {"voice": "soft", "fading": True, "memory_limit": "2KiB"})),
    "refusal": refusal,
    "cpu": catalog.short_name("CPUExecutionProvider"),
}))
"""


def run(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)


def test_it_is_found_and_listed_and_its_options_are_read(echo_environment: dict[str, str]) -> None:
    done = run("-c", LOOK, environment=echo_environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {"cpu", "cuda", "echo", "openvino"} <= set(found["names"])
    assert found["availability"] == "available"
    assert found["options"] == ["voice", "repeats", "fading", "memory_limit"]
    assert found["encoded"] == {"echo_voice": "soft", "echo_fading": "1", "echo_memory_limit": "2048"}
    assert found["refusal"] == "echo: it has no option repeat; did you mean repeats?"
    assert found["cpu"] == "cpu"


@pytest.mark.provider
def test_it_keeps_the_contract_of_every_backend(echo_environment: dict[str, str]) -> None:
    suite = "tests/backends/contract"
    arguments = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "echo", "-rA", suite)
    done = run(*arguments, environment=echo_environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_a_tiny_session_opens_and_runs[echo]" in done.stdout
    assert " skipped" not in done.stdout
