"""Checks that several backends share."""

import sys
from collections.abc import Iterable, Mapping

from ortolan_backends.contract import Backend, Check, Outcome, Probe
from ortolan_backends.errors import RuntimeConflict
from ortolan_backends.runtime.trial import Trial, try_backend
from ortolan_backends.runtime.wheel import capi_folder, require_one_wheel

__all__ = [
    "check_session",
    "check_wheel",
    "failed",
    "judge_trial",
    "missing_library",
    "ok",
    "opening_failed",
    "probe_safely",
    "skipped",
]

_NOT_FOUND = ": cannot open shared object file: No such file or directory"


def ok(looked_at: str, finding: str) -> Check:
    return Check(looked_at, Outcome.OK, finding)


def failed(looked_at: str, finding: str, mend: str) -> Check:
    return Check(looked_at, Outcome.FAILED, finding, mend)


def skipped(looked_at: Iterable[str], because: str) -> tuple[Check, ...]:
    """For what an earlier failure makes meaningless."""
    return tuple(Check(subject, Outcome.SKIPPED, f"not looked at: {because}") for subject in looked_at)


def missing_library(error: str) -> str:
    """The library that the linker's text says is missing; any other text as it is."""
    return error.removesuffix(_NOT_FOUND)


def opening_failed(library: str, error: str) -> str:
    """The linker's text names the library that is missing, which may be one that `library` needs."""
    missing = missing_library(error)
    if missing == library:
        return f"{library} is missing"
    if missing != error:
        return f"{library} needs {missing}, which is missing"
    return error if error.startswith(library) else f"{library} does not open: {error}"


def probe_safely(backend: Backend) -> Probe:
    """What the backend finds, where it may be anybody's: one that breaks the contract and raises is a failed check."""
    mend = f"report it to the authors of the backend '{backend.name}', or uninstall its package"
    try:
        probe: object = backend.probe()
    except Exception as error:  # noqa: BLE001 - a third party's code may raise anything
        text = " ".join(str(error).split()).rstrip(".")
        told = f"{type(error).__name__}: {text}" if text else type(error).__name__
        return Probe((failed("backend", f"its probe raised {told}", mend),))
    if not isinstance(probe, Probe):
        return Probe((failed("backend", f"its probe returned {type(probe).__name__} instead of a Probe", mend),))
    return probe


def check_wheel(provider: str = "", library: str = "", requirement: str = "") -> Check:
    """Whether one ONNX Runtime wheel is installed and, if `library` is named, has that provider library.

    `library` is the middle of its file's name (`cuda` in `libonnxruntime_providers_cuda.so`), `requirement` what to
    give pip for a wheel that has it.
    """
    try:
        name, version = require_one_wheel()
    except RuntimeConflict as error:
        finding, _, mend = str(error).partition("; ")
        return failed("wheel", finding, mend)
    found = f"{name} {version}"
    if not library:
        return ok("wheel", found)
    folder = capi_folder()
    if folder is not None and (folder / _library_file(library)).is_file():
        return ok("wheel", f"{found} has {provider}")
    mend = f"pip uninstall -y {name} && pip install {requirement}"
    return failed("wheel", f"{found} has no {provider}", mend)


def check_session(name: str, options: Mapping[str, object], mend: str) -> Check:
    """Whether a tiny session opens and runs on the backend with that short name, in a subprocess.

    `options` as in `model.toml`. The subprocess finds the backend by its entry point and lets it attach itself.
    """
    return judge_trial(try_backend(name, options), mend)


def judge_trial(trial: Trial, mend: str) -> Check:
    if trial.ran:
        return ok("session", trial.finding)
    if trial.out_of_memory:  # the provider works; whether a model fits is found out when it is opened
        mend = "free memory of the device, or set the option that chooses another one"
        return Check("session", Outcome.DEGRADED, trial.finding, mend)
    return failed("session", trial.finding, mend)


def _library_file(library: str) -> str:
    if sys.platform == "win32":
        return f"onnxruntime_providers_{library}.dll"
    suffix = "dylib" if sys.platform == "darwin" else "so"
    return f"libonnxruntime_providers_{library}.{suffix}"
