"""Where OpenVINO keeps what it compiles, and whether it can load that again."""

import re
from pathlib import Path

from ortolan_backends.caching import placed_by_its_options, with_options
from ortolan_backends.contract import Device, NotCached
from ortolan_backends.options import ProviderOptions, encode

__all__ = ["compiled_for", "place_cache", "writes_while_running"]

_PROPERTY = "CACHE_DIR"
# Reads what OpenVINO keeps for a CPU, which is a model of its own format. The full wheel 1.24.1 comes without it, so
# that its OpenVINO writes a cache at every load and reads none: docs/decisions/0010-cache.md.
_READER = "libopenvino_ir_frontend"
_NEEDS_NO_READER = re.compile(r"GPU(?:\.\d+)?|NPU")


def place_cache(options: ProviderOptions, folder: Path, libraries: Path | None) -> ProviderOptions | NotCached:
    """`libraries` is the folder of OpenVINO's own; None: it is not installed."""
    settings = encode(options)
    own = placed_by_its_options(options, ("cache_dir",))
    if own:
        return own
    if _PROPERTY in settings.get("load_config", "").upper():
        return NotCached(f"load_config sets {_PROPERTY}", by_choice=True)
    has_reader = libraries is not None and any(libraries.glob(f"{_READER}.*"))
    if not has_reader and not _NEEDS_NO_READER.fullmatch(_device_type(options)):
        return NotCached(f"this OpenVINO has no {_READER}, without which it cannot load what it compiled for a CPU")
    return with_options(options, cache_dir=str(folder))


def compiled_for(options: ProviderOptions, devices: tuple[Device, ...]) -> tuple[Device, ...]:
    """Those that the option names, by id or by kind; all where it names none."""
    names = set(re.findall(r"(?:CPU|GPU|NPU)(?:\.\d+)?", _device_type(options)))
    return tuple(device for device in devices if {device.id, device.kind.upper()} & names) or devices


def writes_while_running(options: ProviderOptions) -> bool:
    """With fixed shapes only, as NPU always has them, it compiles at the first request."""
    return encode(options).get("disable_dynamic_shapes") == "True" or "NPU" in _device_type(options)


def _device_type(options: ProviderOptions) -> str:
    return encode(options).get("device_type", "CPU")
