"""Why CUDA is or is not available: a ladder from the wheel to a tiny session.

ONNX Runtime says little and one thing at a time. Here every missing library is listed at once; a check is skipped
only where an earlier failure makes it meaningless. The looking is done by subprocesses, the judging is pure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from ortolan_backends.checks import check_session, check_wheel, failed, missing_library, ok, opening_failed, skipped
from ortolan_backends.contract import Check, Device, Outcome, Probe
from ortolan_backends.runtime.cuda_driver import CUDA_DRIVER, DriverFinding, look_at_driver
from ortolan_backends.runtime.libraries import (
    LibraryFinding,
    NotElfError,
    look_for,
    needed_libraries,
    pip_requirement,
)
from ortolan_backends.runtime.wheel import build_info, capi_folder, installed_wheels

__all__ = ["judge_driver", "judge_libraries", "judge_version", "optional_libraries", "probe_cuda"]

_SUPPORTED_CUDA = (12, 13)
_INSTALL_ALL = "pip install 'ortolan[gpu]'"
_DRIVER_CHECKS = ("cuInit", "driver version", "devices")
# The first driver branch of each CUDA; the kernel's driver and libcuda.so.1 come together.
_FIRST_DRIVER = {12: "525", 13: "580"}
_NO_DEVICE, _TOO_OLD = 100, 35
_GIB = 1 << 30

_INIT_TEXTS = {
    34: "the library is a stub for building",
    _TOO_OLD: "the driver is too old",
    _NO_DEVICE: "no CUDA-capable device is detected",
    101: "invalid device ordinal",
    802: "the system is not yet initialised",
    803: "the driver's library and kernel module do not match",
    804: "this GPU does not support forward compatibility",
    999: "unknown error",
}
_INIT_MENDS = {
    _NO_DEVICE: "pass a GPU to this machine or container (`docker run --gpus all`), and look at CUDA_VISIBLE_DEVICES",
    802: "start the fabric manager (`systemctl start nvidia-fabricmanager`)",
    803: "restart the machine after a driver update; in a container remove a libcuda.so.1 of the image",
}


def probe_cuda(provider: str) -> Probe:
    wheel = check_wheel(provider, "cuda", "'ortolan[gpu]'")
    if wheel.outcome is Outcome.FAILED:
        later = ("CUDA version", "libraries", CUDA_DRIVER, *_DRIVER_CHECKS, "session")
        return Probe((wheel, *skipped(later, wheel.finding)))
    cuda_version = build_info().get("cuda_version", "")
    cuda_major = int(cuda_version.partition(".")[0] or 0) if cuda_version[:1].isdigit() else 0
    driver = look_at_driver()
    checks = [
        wheel,
        judge_version(cuda_version, cuda_major),
        *_libraries(cuda_major),
        *judge_driver(driver, cuda_major),
    ]
    if any(check.outcome is Outcome.FAILED for check in checks):
        checks += skipped(["session"], "it cannot open before the above is mended")
    else:
        mend = "see ONNX Runtime's message; `nvidia-smi` says whether the GPU is free and healthy"
        # Without options: on the first GPU, whichever one models choose later.
        session = check_session("cuda", {}, mend)
        checks.append(replace(session, finding=f"GPU 0: {session.finding}"))
    return Probe(tuple(checks), _devices(driver), _versions(cuda_version, driver))


def judge_version(cuda_version: str, cuda_major: int) -> Check:
    finding = f"the wheel is built for CUDA {cuda_version}" if cuda_major else "the wheel does not say for which CUDA"
    if cuda_major in _SUPPORTED_CUDA:
        return ok("CUDA version", finding)
    mend = f"{_INSTALL_ALL} brings a wheel for CUDA {_SUPPORTED_CUDA[-1]}"
    return Check("CUDA version", Outcome.DEGRADED, finding, mend)


def _libraries(cuda_major: int) -> tuple[Check, ...]:
    folder = capi_folder() or Path()
    try:
        needed = needed_libraries(folder / "libonnxruntime_providers_cuda.so")
    except (OSError, NotElfError) as error:
        return (Check("libraries", Outcome.SKIPPED, f"not looked at: {error}"),)
    # The driver's library has checks of its own.
    required = [name for name in needed if name != CUDA_DRIVER]
    return judge_libraries(look_for([*required, *optional_libraries(cuda_major)]), cuda_major)


def optional_libraries(cuda_major: int) -> tuple[str, ...]:
    """Loaded when a kernel first needs them; without them such kernels answer NOT_IMPLEMENTED."""
    return "libcudnn.so.9", f"libcufft.so.{max(cuda_major - 1, 0)}"


def judge_libraries(found: Iterable[LibraryFinding], cuda_major: int) -> tuple[Check, ...]:
    """One check for each library that matters: those of CUDA, and whichever other one does not open."""
    optional = optional_libraries(cuda_major)
    checks = []
    for library in found:
        requirement = pip_requirement(library.name, cuda_major)
        if not library.error:
            if requirement:
                checks.append(ok(library.name, f"{library.name} is {library.path or 'found'}"))
            continue
        # The one to install is the one that is missing, which may be another that this one needs.
        requirement = pip_requirement(missing_library(library.error), cuda_major) or requirement
        mend = f"pip install '{requirement}', or {_INSTALL_ALL} for all of them" if requirement else "install it"
        if library.name in optional:
            finding = f"{opening_failed(library.name, library.error)}; operators that need it do not run on CUDA"
            checks.append(Check(library.name, Outcome.DEGRADED, finding, mend))
        else:
            checks.append(failed(library.name, opening_failed(library.name, library.error), mend))
    return tuple(checks)


def judge_driver(driver: DriverFinding, cuda_major: int) -> tuple[Check, ...]:
    """The checks of library, initialisation, version and devices."""
    branch = _FIRST_DRIVER.get(cuda_major, "")
    install = f"install the NVIDIA driver {branch} or newer".replace("  ", " ")
    if driver.crash:
        crash = f"asking the driver {driver.crash}"
        return failed(CUDA_DRIVER, crash, "`nvidia-smi` must work first"), *skipped(_DRIVER_CHECKS, crash)
    if driver.load_error:
        finding = opening_failed(CUDA_DRIVER, driver.load_error)
        mend = f"{install}; in a container start it with the NVIDIA runtime (`docker run --gpus all`)"
        return failed(CUDA_DRIVER, finding, mend), *skipped(_DRIVER_CHECKS, "there is no driver")
    return (
        ok(CUDA_DRIVER, f"{CUDA_DRIVER} opens"),
        _judge_init(driver, install),
        _judge_driver_version(driver, cuda_major, install),
        *_judge_devices(driver),
    )


def _judge_init(driver: DriverFinding, install: str) -> Check:
    if driver.init_code == 0:
        return ok("cuInit", "the driver initialises")
    text = driver.init_text or _INIT_TEXTS.get(driver.init_code, "unknown error")
    mend = _INIT_MENDS.get(driver.init_code, f"`nvidia-smi` must work first; {install}")
    return failed("cuInit", f"cuInit answers {driver.init_code}: {text}", mend)


def _judge_driver_version(driver: DriverFinding, cuda_major: int, install: str) -> Check:
    if not driver.cuda_version:
        finding = "the driver does not say which CUDA it supports"
        return Check("driver version", Outcome.DEGRADED, finding, install)
    supported = f"{driver.cuda_version // 1000}.{driver.cuda_version % 1000 // 10}"
    if driver.cuda_version < cuda_major * 1000:
        finding = f"the driver supports CUDA {supported}, and the wheel needs {cuda_major}.0"
        return failed("driver version", finding, install)
    return ok("driver version", f"the driver supports CUDA {supported}")


def _judge_devices(driver: DriverFinding) -> tuple[Check, ...]:
    if driver.init_code:
        return skipped(["devices"], "the driver does not initialise")
    if not driver.devices:
        return (failed("devices", "the driver shows no GPU", _INIT_MENDS[_NO_DEVICE]),)
    listed = ", ".join(
        f"{ordinal}: {gpu.name}, {gpu.memory_bytes / _GIB:.0f} GiB, compute capability {gpu.compute_capability}"
        for ordinal, gpu in enumerate(driver.devices)
    )
    return (ok("devices", listed),)


def _devices(driver: DriverFinding) -> tuple[Device, ...]:
    return tuple(Device("gpu", str(ordinal), gpu.name, gpu.memory_bytes) for ordinal, gpu in enumerate(driver.devices))


def _versions(cuda_version: str, driver: DriverFinding) -> Mapping[str, str]:
    versions = {
        "onnxruntime": next(iter(installed_wheels().values()), ""),
        "cuda": cuda_version,
        "driver": driver.kernel_module,
    }
    return {part: version for part, version in versions.items() if version}
