"""The stubs for Rust: their own tests, their linters, and the example."""

from collections.abc import Callable, Mapping

import pytest

from tests.languages.child import CLIENTS, run

RUST = CLIENTS / "rust"

# The first build compiles all dependencies.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def cargo(toolchain: Callable[[str], str]) -> str:
    return toolchain("cargo")


def test_vectors(cargo: str, server_env: Mapping[str, str]) -> None:
    output = run(RUST, cargo, "test", "--locked", "--test", "vectors", env=server_env)
    assert "test result: ok. 7 passed" in output


def test_example(cargo: str, example_env: Mapping[str, str]) -> None:
    address = example_env["ORTOLAN_ADDRESS"]
    output = run(RUST, cargo, "run", "--locked", "--quiet", "--example", "digits", address)
    assert output.splitlines() == ["it is a 7", "digits/1 KEPT on cpu", "  3 nodes on cpu"]


def test_format(cargo: str, toolchain: Callable[[str], str]) -> None:
    toolchain("rustfmt")
    run(RUST, cargo, "fmt", "--check")


def test_clippy(cargo: str, toolchain: Callable[[str], str]) -> None:
    toolchain("cargo-clippy")
    run(RUST, cargo, "clippy", "--locked", "--all-targets", "--", "--deny", "warnings")
