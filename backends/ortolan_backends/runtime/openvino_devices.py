"""OpenVINO's devices, through the C library of the wheel.

`python -m ortolan_backends.runtime.openvino_devices LIBRARY_JSON` is the subprocess that asks it: a GPU's or NPU's
driver may crash.
"""

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ortolan_backends.runtime.child import ask, respond

__all__ = ["OpenVinoFinding", "known_devices", "look_at_openvino"]

_TIMEOUT_S = 60.0
_LIBRARY = "libopenvino_c.so"


@dataclass(frozen=True, slots=True)
class OpenVinoFinding:
    """What OpenVINO answered."""

    error: str = ""
    """Why there is no answer; empty when there is one."""
    version: str = ""
    devices: tuple[tuple[str, str], ...] = ()
    """Name and full name, e.g. `("GPU.0", "Intel(R) Arc(TM) A770")`."""


def look_at_openvino(folder: Path) -> OpenVinoFinding:
    """Asks the library in `folder` in a subprocess. Never raises."""
    answer = ask("ortolan_backends.runtime.openvino_devices", str(folder / _LIBRARY), timeout_s=_TIMEOUT_S)
    if answer.value is None:
        return OpenVinoFinding(error=f"asking OpenVINO {answer.ending}")
    devices = tuple((name, full_name) for name, full_name in answer.value["devices"])
    return OpenVinoFinding(answer.value["error"], answer.value["version"], devices)


@cache
def known_devices(folder: Path) -> tuple[str, ...]:
    """The names of the devices, asked for once in the life of this process; empty when they are not known."""
    return tuple(name for name, _ in look_at_openvino(folder).devices)


class _Version(ctypes.Structure):
    _fields_ = (("build", ctypes.c_char_p), ("description", ctypes.c_char_p))


class _Devices(ctypes.Structure):
    _fields_ = (("names", ctypes.POINTER(ctypes.c_char_p)), ("count", ctypes.c_size_t))


def _look(library: str) -> Mapping[str, Any]:
    """The child's side."""
    try:
        openvino = ctypes.CDLL(library)
    except OSError as error:
        return _answer(error=str(error))
    version = _Version()
    openvino.ov_get_openvino_version(ctypes.byref(version))
    core = ctypes.c_void_p()
    devices = _Devices()
    status = openvino.ov_core_create(ctypes.byref(core))
    if status == 0:
        status = openvino.ov_core_get_available_devices(core, ctypes.byref(devices))
    if status:
        return _answer(error=f"OpenVINO answers with status {status}", version=_text(version.build))
    names = [devices.names[index] or b"" for index in range(devices.count)]
    listed = [(_text(name), _full_name(openvino, core, name)) for name in names]
    return _answer(version=_text(version.build), devices=listed)


def _answer(*, error: str = "", version: str = "", devices: list[tuple[str, str]] | None = None) -> dict[str, object]:
    return {"error": error, "version": version, "devices": devices or []}


def _full_name(openvino: ctypes.CDLL, core: ctypes.c_void_p, name: bytes) -> str:
    full_name = ctypes.c_char_p()
    status = openvino.ov_core_get_property(core, name, b"FULL_DEVICE_NAME", ctypes.byref(full_name))
    return _text(full_name.value) if status == 0 else ""


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace").strip()


if __name__ == "__main__":
    respond(_look)
