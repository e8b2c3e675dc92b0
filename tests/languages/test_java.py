"""The stubs for Java: their own tests, and the example."""

import re
from collections.abc import Callable, Mapping

import pytest

from tests.languages.child import CLIENTS, run

JAVA = CLIENTS / "java"

# The first build downloads Maven's plugins and all dependencies.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def maven(toolchain: Callable[[str], str]) -> str:
    toolchain("javac")
    return toolchain("mvn")


def test_vectors(maven: str, server_env: Mapping[str, str]) -> None:
    output = run(JAVA, maven, "--batch-mode", "test", env=server_env)
    (ran,) = re.findall(r"Tests run: (\d+), Failures: 0, Errors: 0, Skipped: 0$", output, re.MULTILINE)
    assert int(ran) > 0


def test_example(maven: str, example_env: Mapping[str, str]) -> None:
    address = example_env["ORTOLAN_ADDRESS"]
    output = run(JAVA, maven, "--batch-mode", "--quiet", "compile", "exec:java", f"-Dexec.args={address}")
    # Maven 3 resets the terminal's colours, wherever its output goes.
    assert output.replace("\x1b[0m", "").splitlines() == ["it is a 7", "digits/1 KEPT on cpu", "  3 nodes on cpu"]
