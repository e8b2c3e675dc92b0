"""docs/grpcurl.md: every command runs as printed, against the server that it describes, and prints what is shown."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs.buf_curl import with_buf_curl
from tests.docs.night import PAGE, PROGRAMS, prepare
from tests.pages import Command, commands
from tests.terminal import terminal

# The page shows what the ONNX Runtime for CPUs answers.
pytestmark = pytest.mark.wheel("onnxruntime")


@pytest.fixture
def checkout(toolchain: Callable[[str], str], tmp_path: Path) -> Path:
    for program in PROGRAMS:
        toolchain(program)
    prepare(tmp_path)
    return tmp_path


def faults(checkout: Path, wanted: list[Command]) -> str:
    with terminal(checkout) as reader:
        return "\n".join(f"line {command.line}: {fault}" for command, fault in reader.faults(wanted) if fault)


def test_every_command_prints_what_the_page_shows(checkout: Path) -> None:
    assert faults(checkout, commands(PAGE.read_text())) == ""


def test_buf_curl_is_told_the_same(checkout: Path) -> None:
    asked = list(with_buf_curl(commands(PAGE.read_text())))
    assert sum(command.text.startswith("buf curl") for command in asked) >= 15
    assert faults(checkout, asked) == ""
