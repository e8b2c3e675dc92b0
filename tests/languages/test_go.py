"""The Go client: its own tests, its stubs, its style, and its example."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.languages.child import CLIENTS, run

pytestmark = pytest.mark.timeout(900)  # a first build downloads and compiles gRPC

HERE = CLIENTS / "go"


@pytest.fixture(scope="module")
def go(toolchain: Callable[[str], str]) -> str:
    return toolchain("go")


def test_vectors_and_all_else(go: str, server_env: Mapping[str, str]) -> None:
    run(HERE, go, "test", "-count=1", "./...", env=server_env)


def test_vet(go: str) -> None:
    run(HERE, go, "vet", "./...")


def test_formatted(go: str, toolchain: Callable[[str], str]) -> None:
    assert run(HERE, toolchain("gofmt"), "-l", ".") == ""


def test_module_files_are_tidy(go: str) -> None:
    run(HERE, go, "mod", "tidy", "-diff")


def test_stubs_are_fresh(go: str, toolchain: Callable[[str], str], tmp_path: Path) -> None:
    run(HERE, toolchain("buf"), "generate", "--output", str(tmp_path), env={**os.environ, "PATH": path_with(go)})
    stubs = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.go"))
    assert stubs == sorted(path.relative_to(HERE) for path in HERE.rglob("*.pb.go"))
    stale = [path for path in stubs if (tmp_path / path).read_text() != (HERE / path).read_text()]
    assert not stale, "`go generate` in clients/go mends it"


def path_with(program: str) -> str:
    return os.pathsep.join((str(Path(program).parent), os.environ["PATH"]))


def test_example_names_files_and_the_provider(go: str, example_env: Mapping[str, str]) -> None:
    files = {"client.go": "go", "go.sum": "sum", "README.md": "markdown", "../make_vectors.py": "python"}
    flags = ["-address", example_env["ORTOLAN_ADDRESS"], "-labels", example_env["ORTOLAN_LABELS"]]
    lines = run(HERE, go, "run", "./examples/classify", *flags, *files, env=example_env).splitlines()
    named = dict(line.split(": ") for line in lines[:-1])
    assert {path: answer.split()[0] for path, answer in named.items()} == files
    assert lines[-1].startswith("magika/1: READY on cpu, contract KEPT, nodes by provider map[cpu:")
