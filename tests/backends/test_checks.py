"""Checks that backends share, made on the backend of somebody else."""

from pathlib import Path

import pytest

from ortolan_backends.checks import check_session, probe_safely
from ortolan_backends.contract import Availability, Backend, Check, Outcome, Probe
from ortolan_backends.options import ProviderOptions, option
from ortolan_backends.runtime.trial import try_backend
from tests.backends.third_party import install

PROJECT = """
[project]
name = "ortolan-backend-moody"
version = "0.1.0"

[project.entry-points."ortolan.backends"]
moody = "ortolan_backend_moody:BACKEND"
"""
MODULE = """
import os
from typing import Literal
from ortolan_backends.options import ProviderOptions, option

class Options(ProviderOptions):
    mood: Literal["good", "full", "bad"] = option("good", key="mood", doc="How it feels.")

class Moody:
    name, provider, summary, compiles, options = "moody", "CPUExecutionProvider", "Moody.", False, Options

    def probe(self):
        raise NotImplementedError

    def attach(self, session_options, options):
        if options.mood == "full":
            raise RuntimeError("CUDA failure 2: out of memory ; GPU=0 ; expr=cudaMalloc((void**)&p, size);")
        if options.mood == "bad":
            raise RuntimeError("CUDA failure 100: no CUDA-capable device is detected ; GPU=0")
        os.write(2, b"attached in a way of its own")
        session_options.add_provider("CPUExecutionProvider", {})

BACKEND = Moody()
"""


class Fragile:
    """Breaks the contract: its probe raises."""

    name: str = "fragile"
    provider: str = "FragileExecutionProvider"
    summary: str = "Raises."
    compiles: bool = False

    class Options(ProviderOptions):
        """One option, as everybody has."""

        grip: int = option(0, key="grip", doc="How hard it is held.")

    options: type[ProviderOptions] = Options

    def __init__(self, error: Exception) -> None:
        self.error = error

    def probe(self) -> Probe:
        raise self.error

    def attach(self, session_options: object, options: ProviderOptions) -> None:
        raise NotImplementedError


@pytest.fixture
def moody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The short name of a third party's backend that subprocesses find."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    (source / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    (source / "ortolan_backend_moody.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", install(source, target)["PYTHONPATH"])
    return "moody"


@pytest.mark.provider
def test_a_backend_attaches_itself(moody: str) -> None:
    trial = try_backend(moody, {})
    assert trial.ran, trial.log
    assert "attached in a way of its own" in trial.log
    assert check_session(moody, {}, "mend it") == Check("session", Outcome.OK, "a tiny session opened and ran")


@pytest.mark.provider
def test_a_device_without_memory_is_degraded(moody: str) -> None:
    check = check_session(moody, {"mood": "full"}, "mend it")
    assert check.outcome is Outcome.DEGRADED
    assert check.finding == "a tiny session failed to attach: CUDA failure 2: out of memory"
    assert check.mend.startswith("free memory of the device")


@pytest.mark.provider
def test_other_failures_of_the_device_are_failures(moody: str) -> None:
    check = check_session(moody, {"mood": "bad"}, "mend it")
    assert (check.outcome, check.mend) == (Outcome.FAILED, "mend it")
    assert check.finding.endswith("CUDA failure 100: no CUDA-capable device is detected")


@pytest.mark.parametrize(
    ("error", "finding"),
    [
        (KeyError("driver"), "its probe raised KeyError: 'driver'"),
        (OSError("no\nlibrary."), "its probe raised OSError: no library"),
        (NotImplementedError(), "its probe raised NotImplementedError"),
    ],
)
def test_a_probe_that_raises_is_a_failed_check(error: Exception, finding: str) -> None:
    backend: Backend = Fragile(error)
    probe = probe_safely(backend)
    assert probe.availability is Availability.UNAVAILABLE
    assert probe.reason == finding
    assert "'fragile'" in probe.mend


def test_a_probe_that_is_none_is_a_failed_check() -> None:
    backend = Fragile(ValueError())
    backend.probe = lambda: None  # type: ignore[assignment, method-assign, return-value]
    assert probe_safely(backend).reason == "its probe returned NoneType instead of a Probe"
