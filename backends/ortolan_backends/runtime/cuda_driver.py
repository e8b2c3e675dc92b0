"""The NVIDIA driver and its devices, through `libcuda.so.1`.

`python -m ortolan_backends.runtime.cuda_driver {}` is the subprocess that calls it: a driver that does not match its
kernel module may crash or hang.
"""

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ortolan_backends.runtime.child import ask, respond

__all__ = ["CUDA_DRIVER", "CudaDevice", "DriverFinding", "look_at_driver"]

CUDA_DRIVER = "libcuda.so.1"

_TIMEOUT_S = 60.0
_KERNEL_MODULE = Path("/sys/module/nvidia/version")
_NAME_BYTES = 256
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76


@dataclass(frozen=True, slots=True)
class CudaDevice:
    """A GPU as the driver describes it."""

    name: str
    memory_bytes: int
    compute_capability: str
    """E.g. `9.0`."""


@dataclass(frozen=True, slots=True)
class DriverFinding:
    """What the driver answered. After a failure the later fields keep their defaults."""

    crash: str = ""
    """How the subprocess ended without an answer."""
    load_error: str = ""
    """The dynamic linker's text when the library does not open, or lacks a function."""
    init_code: int = 0
    """`cuInit`'s answer; 0: fine."""
    init_text: str = ""
    """The driver's own text for it, where it has one."""
    cuda_version: int = 0
    """The newest CUDA that the driver supports, e.g. 13000; 0: not known."""
    kernel_module: str = ""
    """The version of the kernel's module, e.g. `580.82.07`."""
    devices: tuple[CudaDevice, ...] = ()


def look_at_driver() -> DriverFinding:
    """Asks the driver in a subprocess. Never raises."""
    answer = ask("ortolan_backends.runtime.cuda_driver", {}, timeout_s=_TIMEOUT_S)
    if answer.value is None:
        return DriverFinding(crash=answer.ending, kernel_module=_kernel_module())
    found = dict(answer.value)
    devices = tuple(CudaDevice(**device) for device in found.pop("devices", ()))
    return DriverFinding(**found, devices=devices, kernel_module=_kernel_module())


def _kernel_module() -> str:
    try:
        return _KERNEL_MODULE.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _look(_question: object) -> Mapping[str, Any]:
    """The child's side: the fields of a DriverFinding."""
    try:
        cuda = ctypes.CDLL(CUDA_DRIVER)
        version = ctypes.c_int(0)
        cuda.cuDriverGetVersion(ctypes.byref(version))  # may be called before cuInit, and helps when that fails
        code = cuda.cuInit(0)
        if code:
            return {"init_code": code, "init_text": _text_of(cuda, code), "cuda_version": version.value}
        return {"cuda_version": version.value, "devices": _devices(cuda)}
    except (OSError, AttributeError) as error:
        return {"load_error": str(error)}


def _text_of(cuda: ctypes.CDLL, code: int) -> str:
    text = ctypes.c_char_p()
    try:
        cuda.cuGetErrorString(code, ctypes.byref(text))
    except AttributeError:
        return ""
    return (text.value or b"").decode(errors="replace")


def _devices(cuda: ctypes.CDLL) -> list[dict[str, object]]:
    count = ctypes.c_int(0)
    cuda.cuDeviceGetCount(ctypes.byref(count))
    return [_device(cuda, ordinal) for ordinal in range(count.value)]


def _device(cuda: ctypes.CDLL, ordinal: int) -> dict[str, object]:
    handle = ctypes.c_int(0)
    name = ctypes.create_string_buffer(_NAME_BYTES)
    memory = ctypes.c_size_t(0)
    major, minor = ctypes.c_int(0), ctypes.c_int(0)
    cuda.cuDeviceGet(ctypes.byref(handle), ordinal)
    cuda.cuDeviceGetName(name, _NAME_BYTES, handle)
    cuda.cuDeviceTotalMem_v2(ctypes.byref(memory), handle)
    cuda.cuDeviceGetAttribute(ctypes.byref(major), _CAPABILITY_MAJOR, handle)
    cuda.cuDeviceGetAttribute(ctypes.byref(minor), _CAPABILITY_MINOR, handle)
    return {
        "name": name.value.decode(errors="replace"),
        "memory_bytes": memory.value,
        "compute_capability": f"{major.value}.{minor.value}",
    }


if __name__ == "__main__":
    respond(_look)
