"""Questions to subprocesses that crash, hang or talk too much, and the tiny session."""

import os
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from ortolan_backends.runtime.child import ask
from ortolan_backends.runtime.ort import onnxruntime
from ortolan_backends.runtime.trial import try_backend

AddModule = Callable[[str, str], str]


@pytest.fixture
def add_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AddModule:
    """Makes a module that subprocesses can run; returns its name."""
    others = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(tmp_path), others])))

    def add(name: str, source: str) -> str:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source), encoding="utf-8")
        return name

    return add


def test_what_libraries_print_does_not_spoil_the_answer(add_module: AddModule) -> None:
    source = """
        import os
        from ortolan_backends.runtime.child import respond

        def answer(question):
            os.write(1, b"banner\\n")
            os.write(2, b"\\x1b[1;31mred\\x1b[m\\n")
            return {"twice": question * 2}

        respond(answer)
    """
    answer = ask(add_module("talkative", source), 21, timeout_s=30)
    assert answer.value == {"twice": 42}
    assert answer.ending == ""
    assert answer.log == "banner\nred"


@pytest.mark.parametrize(
    ("source", "timeout_s", "ending"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", 60, "was killed by SIGSEGV"),
        ("raise SystemExit(7)", 60, "ended with exit status 7"),
        ("print('no JSON')", 60, "ended with exit status 0"),
        ("import threading; threading.Event().wait()", 0.5, "did not end within 0.5 s"),
    ],
)
def test_endings_without_an_answer(add_module: AddModule, source: str, timeout_s: float, ending: str) -> None:
    answer = ask(add_module("ending", source), {}, timeout_s=timeout_s)
    assert answer.value is None
    assert answer.ending == ending


@pytest.mark.provider
def test_a_tiny_session_on_cpu() -> None:
    trial = try_backend("cpu", {"threads": 1})
    assert trial.ran, trial.log
    assert trial.finding == "a tiny session opened and ran"


@pytest.mark.provider
@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [("tpu", {}, "no provider 'tpu'"), ("cpu", {"threads": "all"}, 'cpu: threads = "all" is refused')],
)
def test_what_cannot_be_attached(name: str, options: dict[str, object], reason: str) -> None:
    trial = try_backend(name, options)
    assert not trial.ran
    assert trial.finding.startswith(f"a tiny session failed to attach: {reason}")


@pytest.mark.provider
@pytest.mark.skipif(
    "CUDAExecutionProvider" not in onnxruntime.get_available_providers(), reason="the wheel has no CUDA provider"
)
def test_a_missing_library_is_read_from_onnx_runtime_s_log() -> None:
    trial = try_backend("cuda", {})
    if trial.ran:
        pytest.skip("CUDA works here")
    assert "Provider configuration is not supported" not in trial.finding
    assert ".so" in trial.finding or "CUDA failure" in trial.finding


@pytest.mark.provider
def test_a_trial_has_a_time_limit() -> None:
    trial = try_backend("cpu", {}, timeout_s=0.01)
    assert not trial.ran
    assert trial.finding.startswith("a tiny session did not end within 0.01 s")
