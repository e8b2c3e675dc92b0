"""The stubs for C++: their own tests, and the example."""

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.conftest import lacking
from tests.languages.child import CLIENTS, run

CPP = CLIENTS / "cpp"
BUILD = CPP / "build"
PROGRAMS = ("cmake", "g++", "protoc", "grpc_cpp_plugin", "pkg-config")
LIBRARIES = ("grpc++", "protobuf", "nlohmann_json", "gtest")

# The first build compiles the stubs.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def build(toolchain: Callable[[str], str]) -> Path:
    """The folder of the finished build."""
    cmake, *_, pkg_config = map(toolchain, PROGRAMS)
    missing = [name for name in LIBRARIES if subprocess.run([pkg_config, "--exists", name], check=False).returncode]
    if missing:
        lacking(f"{', '.join(missing)} not installed (clients/cpp/CMakeLists.txt names Debian's packages)")
    run(CPP, cmake, "-S", str(CPP), "-B", str(BUILD))
    run(CPP, cmake, "--build", str(BUILD), "--parallel", "2")
    return BUILD


def test_vectors(build: Path, server_env: Mapping[str, str]) -> None:
    output = run(build, "ctest", "--output-on-failure", "--no-tests=error", env=server_env)
    assert "100% tests passed" in output


def test_example(build: Path, example_env: Mapping[str, str]) -> None:
    output = run(build, str(build / "digits"), example_env["ORTOLAN_ADDRESS"])
    assert output.splitlines() == ["it is a 7", "digits/1 KEPT on cpu", "  3 nodes on cpu"]
