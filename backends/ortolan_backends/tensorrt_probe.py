"""Why TensorRT is or is not available: CUDA's ladder, with TensorRT's own libraries in it."""

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import distributions
from pathlib import Path

from ortolan_backends.checks import check_session, check_wheel, failed, ok, opening_failed, skipped
from ortolan_backends.contract import Check, Device, Outcome, Probe
from ortolan_backends.cuda_probe import judge_driver, judge_libraries, judge_version
from ortolan_backends.runtime.cuda_driver import CUDA_DRIVER, look_at_driver
from ortolan_backends.runtime.libraries import LibraryFinding, NotElfError, look_for, needed_libraries
from ortolan_backends.runtime.wheel import build_info, capi_folder, installed_wheels

__all__ = ["judge_tensorrt", "probe_tensorrt"]

_NEEDED = ("libnvinfer.so.10", "libnvonnxparser.so.10")
_NEWER = "libnvinfer.so.11"
_CUDA_13 = 13
_PACKAGE = re.compile(r"tensorrt[-_]cu\d+[-_]libs")
_LATER = ("CUDA version", *_NEEDED, CUDA_DRIVER, "cuInit", "driver version", "devices", "session")


def probe_tensorrt(provider: str) -> Probe:
    wheel = check_wheel(provider, "tensorrt", f"'ortolan[gpu]' 'tensorrt-cu{_CUDA_13}==10.*'")
    if wheel.outcome is Outcome.FAILED:
        return Probe((wheel, *skipped(_LATER, wheel.finding)))
    cuda_version = build_info().get("cuda_version", "")
    cuda_major = int(cuda_version.partition(".")[0] or 0) if cuda_version[:1].isdigit() else 0
    driver = look_at_driver()
    found = look_for(dict.fromkeys((*_NEEDED, _NEWER, *_others())))
    checks = [
        wheel,
        judge_version(cuda_version, cuda_major),
        *judge_tensorrt(found, cuda_major),
        *judge_driver(driver, cuda_major),
    ]
    if any(check.outcome is Outcome.FAILED for check in checks):
        checks += skipped(["session"], "it cannot open before the above is mended")
    else:
        checks.append(
            check_session("tensorrt", {}, "see ONNX Runtime's message; `ortolan doctor cuda` looks at CUDA alone")
        )
    devices = tuple(Device("gpu", str(number), gpu.name, gpu.memory_bytes) for number, gpu in enumerate(driver.devices))
    versions = {
        "onnxruntime": next(iter(installed_wheels().values()), ""),
        "cuda": cuda_version,
        "tensorrt": _version(found),
        "driver": driver.kernel_module,
    }
    return Probe(tuple(checks), devices, {part: version for part, version in versions.items() if version})


def judge_tensorrt(found: Iterable[LibraryFinding], cuda_major: int) -> tuple[Check, ...]:
    """One check for each of TensorRT's two libraries, and for those of CUDA that its provider needs, cuDNN included."""
    by_name = {library.name: library for library in found}
    newer = by_name.pop(_NEWER, None)
    only_newer = newer is not None and not newer.error
    own = tuple(_judge_own(by_name.pop(name), cuda_major, only_newer=only_newer) for name in _NEEDED)
    return *own, *(_required(check) for check in judge_libraries(by_name.values(), cuda_major))


def _judge_own(library: LibraryFinding, cuda_major: int, *, only_newer: bool) -> Check:
    if not library.error:
        return ok(library.name, f"{library.name} is {library.path or 'found'}")
    package = f"tensorrt-cu{cuda_major or _CUDA_13}"
    finding = opening_failed(library.name, library.error)
    if only_newer:
        finding += "; TensorRT 11 is here, and this ONNX Runtime is built for 10"
        return failed(library.name, finding, f"pip install '{package}==10.*'; 11 may stay, if it did not come with pip")
    return failed(library.name, finding, f"pip install '{package}==10.*'")


def _required(check: Check) -> Check:
    """CUDA can do without cuDNN; the provider for TensorRT is linked to it."""
    if check.outcome is not Outcome.DEGRADED:
        return check
    return replace(check, outcome=Outcome.FAILED, finding=check.finding.partition(";")[0])


def _version(found: Iterable[LibraryFinding]) -> str:
    """Of the library: its file's name ends with it, save in pip's package, which has it in its metadata."""
    path = next((library.path for library in found if library.name == _NEEDED[0]), "")
    number = Path(path).resolve().name.removeprefix("libnvinfer.so.") if path else ""
    if "." in number:
        return number
    packages = (package for package in distributions() if _PACKAGE.fullmatch(package.name or ""))
    return next((package.version for package in packages), number)


def _others() -> tuple[str, ...]:
    """What its provider library needs beside the driver, and CUDA's: ONNX Runtime loads both for a session."""
    folder = capi_folder() or Path()
    needed: list[str] = []
    for provider in ("tensorrt", "cuda"):
        with suppress(OSError, NotElfError):
            needed += needed_libraries(folder / f"libonnxruntime_providers_{provider}.so")
    return tuple(name for name in needed if name != CUDA_DRIVER)
