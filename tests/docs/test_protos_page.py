"""protos/README.md: every command runs as printed in a checkout, and prints what is shown."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pages import commands
from tests.terminal import terminal

PROTOS = Path(__file__).parents[2] / "protos"


@pytest.mark.skipif(not Path(sys.executable).with_name("buf").exists(), reason="buf is a development dependency")
def test_every_command_prints_what_the_page_shows(toolchain: Callable[[str], str], tmp_path: Path) -> None:
    for program in ("grpcurl", "protoc"):
        toolchain(program)
    shutil.copytree(PROTOS, tmp_path / "protos", ignore=shutil.ignore_patterns("__pycache__"))
    with terminal(tmp_path) as reader:
        page = commands((PROTOS / "README.md").read_text())
        faults = [f"line {command.line}: {fault}" for command, fault in reader.faults(page) if fault]
    assert len(page) > 1
    assert not faults, "\n".join(faults)
