"""What tests of every room share."""

import os
import shutil
import signal
import sys
from collections.abc import Callable, Generator, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, settings

from ortolan_backends.runtime.log import RuntimeLog
from ortolan_backends.runtime.wheel import installed_wheels
from tests.certificates import Chains, make_chains
from tests.faulty_provider.building import install_faulty
from tests.faulty_provider.commands import Commands
from tests.faulty_provider.faulty import Faulty

REQUIRE_TOOLCHAINS = "ORTOLAN_REQUIRE_TOOLCHAINS"

# A busy machine may hold up any example; and the same ones everywhere, so that a failure is one of the change at hand.
settings.register_profile("anywhere", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("anywhere")

# A run in the background ignores Ctrl-C, and so would the commands that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def lacking(what: str) -> NoReturn:
    """Ends a test that cannot run here: it skips, or fails where nothing may be missing."""
    if os.environ.get(REQUIRE_TOOLCHAINS) == "1":
        pytest.fail(f"{what}, and {REQUIRE_TOOLCHAINS}=1 requires it")
    pytest.skip(what)


@pytest.fixture(scope="session")
def toolchain() -> Callable[[str], str]:
    """`toolchain("grpcurl")`: path of a program that a test needs.

    Where it is missing the test skips and says so; with ORTOLAN_REQUIRE_TOOLCHAINS=1, as in .ci/run, it fails.
    """

    def find(program: str) -> str:
        beside = Path(sys.executable).parent  # what pip brings
        path = shutil.which(program) or shutil.which(program, path=beside)
        return path or lacking(f"{program} is not installed")

    return find


@pytest.fixture(scope="session")
def chains(toolchain: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Chains:
    """Certificates, right ones and wrong ones; not to be written to."""
    toolchain("openssl")
    return make_chains(tmp_path_factory.mktemp("chains"))


@pytest.fixture
def runtime_log() -> Iterator[RuntimeLog]:
    """A log of ONNX Runtime for tests that open sessions."""
    log = RuntimeLog(lambda _line: None)
    log.start()
    yield log
    log.stop()


@pytest.fixture(scope="session")
def faulty_packages(toolchain: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the backend `faulty` is installed, with its library."""
    return install_faulty(toolchain("cc"), tmp_path_factory.mktemp("faulty"))


@pytest.fixture
def faulty(faulty_packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Faulty]:
    """A provider that fails when it is told to: tests/faulty_provider/commands.py says how."""
    commands = Commands(tmp_path / "faulty_commands")
    monkeypatch.syspath_prepend(faulty_packages)
    monkeypatch.setenv("ORTOLAN_FAULTY_COMMANDS", str(commands.file))
    paths = os.pathsep.join(filter(None, [str(faulty_packages), os.environ.get("PYTHONPATH")]))
    yield Faulty(commands, {**os.environ, "PYTHONPATH": paths})
    commands.say("ok")  # what hangs still, since a test failed, would hold up every other


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Starts `runtime_log` again: since its fixture did, pytest has put its own capture over descriptor 2."""
    log = getattr(item, "funcargs", {}).get("runtime_log")
    if log is not None:
        log.stop()
        log.start()
    yield


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips tests marked `wheel(distribution)` beside another ONNX Runtime wheel, `plugin(…)` without any of those."""
    for mark in item.iter_markers("wheel"):
        (wanted,) = mark.args
        installed = installed_wheels()
        if wanted not in installed:
            pytest.skip(f"needs {wanted}; here is {', '.join(installed) or 'none'}")
    for mark in item.iter_markers("plugin"):
        if not any(_is_installed(wanted) for wanted in mark.args):
            pytest.skip(f"needs {' or '.join(mark.args)}")


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
