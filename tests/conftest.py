"""What tests of every room share."""

import os
import shutil
from collections.abc import Callable, Generator, Iterator
from importlib.metadata import PackageNotFoundError, distribution

import pytest

from ortolan_backends.runtime.log import RuntimeLog
from ortolan_backends.runtime.wheel import installed_wheels

REQUIRE_TOOLCHAINS = "ORTOLAN_REQUIRE_TOOLCHAINS"


@pytest.fixture(scope="session")
def toolchain() -> Callable[[str], str]:
    """`toolchain("grpcurl")`: path of a program that a test needs.

    Where it is missing the test skips and says so; with ORTOLAN_REQUIRE_TOOLCHAINS=1, as in .ci/run, it fails.
    """

    def find(program: str) -> str:
        path = shutil.which(program)
        if path is None and os.environ.get(REQUIRE_TOOLCHAINS) == "1":
            pytest.fail(f"{program} is not installed, and {REQUIRE_TOOLCHAINS}=1 requires it")
        if path is None:
            pytest.skip(f"{program} is not installed")
        return path

    return find


@pytest.fixture
def runtime_log() -> Iterator[RuntimeLog]:
    """A log of ONNX Runtime for tests that open sessions."""
    log = RuntimeLog(lambda _line: None)
    log.start()
    yield log
    log.stop()


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Starts `runtime_log` again: since its fixture did, pytest has put its own capture over descriptor 2."""
    log = getattr(item, "funcargs", {}).get("runtime_log")
    if log is not None:
        log.stop()
        log.start()
    yield


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips tests marked `wheel(distribution)` beside another ONNX Runtime wheel, `plugin(distribution)` without it."""
    for mark in item.iter_markers("wheel"):
        (wanted,) = mark.args
        installed = installed_wheels()
        if wanted not in installed:
            pytest.skip(f"needs {wanted}; here is {', '.join(installed) or 'none'}")
    for mark in item.iter_markers("plugin"):
        (wanted,) = mark.args
        try:
            distribution(wanted)
        except PackageNotFoundError:
            pytest.skip(f"needs {wanted}")
