"""What tests of the backends share."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.backends.third_party import ECHO, install

CompileLibrary = Callable[..., Path]


@pytest.fixture(scope="session")
def compile_library(toolchain: Callable[[str], str]) -> CompileLibrary:
    """`compile_library(path, source, *flags)`: a shared library whose soname is its file's name."""
    compiler = toolchain("cc")

    def build(path: Path, source: str, *flags: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        command = [compiler, "-shared", "-fPIC", f"-Wl,-soname,{path.name}", "-x", "c", "-", "-x", "none", *flags]
        subprocess.run([*command, "-o", str(path)], input=source, text=True, check=True)
        return path

    return build


@pytest.fixture(scope="session")
def echo_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process in which the third party's backend `echo` is installed."""
    return install(ECHO, tmp_path_factory.mktemp("third_party"))
