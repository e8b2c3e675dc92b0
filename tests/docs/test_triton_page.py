"""docs/triton.md: its commands run as printed on the repository of the tests, and its tables are what the code does."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ortolan_server.errors import InvalidConfig
from ortolan_server.repository.triton import parse_config, translate
from tests.pages import commands, difference
from tests.serving import ENTRY
from tests.triton_repository import write_repository

PAGE = (Path(__file__).parents[2] / "docs/triton.md").read_text()
ACCELERATORS = {
    "tensorrt": "optimization { execution_accelerators { gpu_execution_accelerator { name: 'tensorrt' } } }",
    "openvino": "optimization { execution_accelerators { cpu_execution_accelerator { name: 'openvino' } } }",
}


def test_the_commands_print_what_is_shown(tmp_path: Path) -> None:
    write_repository(tmp_path / "model_repository")
    script = f'ortolan() {{ "{sys.executable}" -c "{ENTRY}" "$@"; }}\n'
    for command in commands(PAGE):
        done = subprocess.run(
            ["/bin/bash", "-c", script + command.text], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert difference(command.shown, done.stdout.splitlines()) == ""


def test_the_error_it_shows_comes() -> None:
    (shown,) = re.findall(r"^model_repository/simple/config.pbtxt:3.*$", PAGE, re.MULTILINE)
    with pytest.raises(InvalidConfig) as raised:
        parse_config("\n\nmax_batch_size: many", "model_repository/simple/config.pbtxt")
    assert str(raised.value) == shown


def test_the_chains_are_those_of_the_table() -> None:
    section = PAGE.partition("## Where a model runs")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:4] for line in section.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 6
    for asked, chain, _ in rows:
        accelerators = " ".join(text for name, text in ACCELERATORS.items() if name in asked)
        for kind in re.findall(r"KIND_\w+", asked) or ["KIND_AUTO"]:
            config = translate(parse_config(f"instance_group {{ kind: {kind} }} {accelerators}", "page"), "m").config
            assert [f"`{rung.provider}`" for rung in config.chain] == chain.strip().split(", "), asked
