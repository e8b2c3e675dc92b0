"""Plugin providers: a library in a package of its own, registered with whichever ONNX Runtime wheel is installed.

`python -m ortolan_backends.runtime.plugins PLUGIN_JSON` is the subprocess that registers one to see what it offers:
loading it may crash.
"""

import ctypes
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from ortolan_backends.errors import OpenRefused
from ortolan_backends.runtime.child import ask, respond

__all__ = ["Plugin", "PluginFinding", "PluginPackage", "devices_of", "find_package", "look_at_plugin", "register"]

_TIMEOUT_S = 120.0
_registering = threading.Lock()
_registered: set[str] = set()


@dataclass(frozen=True, slots=True)
class Plugin:
    """Where a plugin comes from, and what it is called."""

    provider: str
    """The canonical name. Some plugins answer to whatever name they are registered under: it is always this one."""
    distributions: tuple[str, ...]
    """The packages that bring it, the preferred one first."""
    library: str
    """Its file without prefix and suffix: `onnxruntime_providers_qnn`."""
    preload: tuple[str, ...] = ()
    """Libraries of its package that it needs and does not find by itself, in this order: `libcudart`."""


@dataclass(frozen=True, slots=True)
class PluginPackage:
    """An installed package."""

    name: str
    version: str
    library: Path | None
    """None: the package is there, its library is not."""
    preload: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class PluginFinding:
    """What came of registering a plugin."""

    error: str = ""
    """Why it could not be registered; empty when it could."""
    devices: tuple[tuple[str, str, str], ...] = ()
    """Kind (`cpu`, `gpu`, `npu`), id and name of each device that it offers."""


def find_package(plugin: Plugin) -> PluginPackage | None:
    """The first of its packages that is installed, told from metadata; None when none is."""
    for name in plugin.distributions:
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue
        files = [Path(str(found.locate_file(file))) for file in found.files or ()]
        library = next((file for file in files if _is_library(file, plugin.library) and file.is_file()), None)
        preload = tuple(
            file for stem in plugin.preload for file in files if file.name.startswith(f"{stem}.so") and file.is_file()
        )
        return PluginPackage(name, found.version, library, preload)
    return None


def register(plugin: Plugin) -> None:
    """Registers its library under its canonical name, once in the life of this process.

    It is never unregistered: with a session open that ends in a SIGSEGV. Raises OpenRefused when its package is
    missing, and ONNX Runtime's exceptions.
    """
    from ortolan_backends.runtime.ort import onnxruntime  # noqa: PLC0415 - costs half a second, raises without a wheel

    with _registering:
        if plugin.provider in _registered:
            return
        package = find_package(plugin)
        if package is None or package.library is None:
            wanted = " or ".join(plugin.distributions)
            raise OpenRefused(f"{plugin.provider} is a plugin, and {wanted} is not installed", stage="attach")
        for library in package.preload:
            ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
        onnxruntime.register_execution_provider_library(plugin.provider, str(package.library))
        _registered.add(plugin.provider)


def devices_of(plugin: Plugin) -> list[Any]:
    """Its `OrtEpDevice`s. It must be registered."""
    from ortolan_backends.runtime.ort import onnxruntime  # noqa: PLC0415 - see above

    return [device for device in onnxruntime.get_ep_devices() if device.ep_name == plugin.provider]


def look_at_plugin(plugin: Plugin) -> PluginFinding:
    """Registers it in a subprocess. Never raises."""
    answer = ask("ortolan_backends.runtime.plugins", asdict(plugin), timeout_s=_TIMEOUT_S)
    if answer.value is None:
        return PluginFinding(error=f"registering it {answer.ending}")
    devices = tuple((kind, number, name) for kind, number, name in answer.value["devices"])
    return PluginFinding(answer.value["error"], devices)


def _look(question: Mapping[str, Any]) -> Mapping[str, object]:
    """The child's side."""
    plugin = Plugin(**question)
    try:
        register(plugin)
        devices = [_describe(number, device) for number, device in enumerate(devices_of(plugin))]
    except Exception as error:  # noqa: BLE001 - ONNX Runtime raises plain RuntimeError and worse
        return {"error": " ".join(str(error).split()).rstrip(".") or type(error).__name__, "devices": []}
    return {"error": "", "devices": devices}


def _describe(number: int, offered: Any) -> tuple[str, str, str]:  # noqa: ANN401 - onnxruntime has no types
    hardware = offered.device
    metadata = dict(hardware.metadata)
    kind = str(hardware.type).rpartition(".")[2].lower()
    full_name = metadata.get("Description") or dict(offered.ep_metadata).get("FULL_DEVICE_NAME")
    name = full_name or f"{hardware.vendor or offered.ep_vendor} {kind.upper()}"
    return kind, str(number), name.strip()


def _is_library(file: Path, stem: str) -> bool:
    return file.name in {f"lib{stem}.so", f"lib{stem}.dylib", f"{stem}.dll"}


if __name__ == "__main__":
    respond(_look)
