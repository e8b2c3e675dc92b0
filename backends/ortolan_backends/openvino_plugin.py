"""OpenVINO as a plugin beside the newest plain wheel: the same provider, with another way of being told its options."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ortolan_backends.contract import Probe
from ortolan_backends.errors import OpenRefused
from ortolan_backends.plugin_backend import attach_plugin, probe_plugin
from ortolan_backends.runtime.plugins import Plugin, find_package

if TYPE_CHECKING:
    from ortolan_backends.runtime.ort import onnxruntime

__all__ = ["attach_openvino_plugin", "plugin_folder", "plugin_settings", "probe_openvino_plugin"]

_PLUGIN = Plugin("OpenVINOExecutionProvider", ("onnxruntime-ep-openvino",), "onnxruntime_providers_openvino_plugin")
_DEVICE_MEND = "run on a machine with an Intel CPU, GPU or NPU; a container must see its devices"
_ONE_DEVICE = re.compile(r"(?P<kind>CPU|GPU|NPU)(?:\.(?P<number>\d+))?")
# The plugin ignores these options of the full wheel, and says in its log by which property each is set.
_PROPERTIES = {"num_of_threads": "INFERENCE_NUM_THREADS", "num_streams": "NUM_STREAMS", "cache_dir": "CACHE_DIR"}
_PRECISIONS = {
    "FP32": {"INFERENCE_PRECISION_HINT": "f32"},
    "FP16": {"INFERENCE_PRECISION_HINT": "f16"},
    "ACCURACY": {"EXECUTION_MODE_HINT": "ACCURACY"},
}
_AS_THEY_ARE = ("reshape_input", "layout")


def plugin_folder() -> Path | None:
    """Where the package keeps its libraries; None where it is not installed."""
    package = find_package(_PLUGIN)
    return package.library.parent if package and package.library else None


def probe_openvino_plugin(name: str) -> Probe:
    return probe_plugin(name, _PLUGIN, device_mend=_DEVICE_MEND)


def attach_openvino_plugin(session_options: "onnxruntime.SessionOptions", settings: Mapping[str, str]) -> None:
    """`settings` as the full wheel takes them. Raises OpenRefused for those that the plugin does not know."""
    kind, number = _device(settings)

    def choose(offered: Sequence[Any]) -> Sequence[Any]:
        fitting = [device for device in offered if str(device.device.type).rpartition(".")[2] == kind]
        return fitting[number : number + 1]

    attach_plugin(session_options, _PLUGIN, plugin_settings(settings), choose)


def plugin_settings(settings: Mapping[str, str]) -> dict[str, str]:
    """The plugin's own options: most are properties of the device. Raises OpenRefused for those it does not know.

    What `load_config` says overrides the others, as in the full wheel.
    """
    kind, _ = _device(settings)
    # Left to itself the plugin computes in BF16 where a CPU has it.
    precision = settings.get("precision", "FP32" if kind == "CPU" else "")
    properties: dict[str, object] = dict(_PRECISIONS.get(precision, {}))
    options = {}
    for key, value in settings.items():
        if key in _PROPERTIES:
            properties[_PROPERTIES[key]] = value
        elif key in _AS_THEY_ARE:
            options[key] = value
        elif key not in ("device_type", "precision", "load_config"):
            raise OpenRefused(f"the plugin of OpenVINO has no option {key}; the full wheel has", stage="attach")
    config: dict[str, dict[str, object]] = json.loads(settings.get("load_config", "{}"))
    config[kind] = properties | config.get(kind, {})
    if any(config.values()):
        options["load_config"] = json.dumps({device: found for device, found in config.items() if found})
    return options


def _device(settings: Mapping[str, str]) -> tuple[str, int]:
    """Kind, and which of that kind."""
    wanted = settings.get("device_type", "CPU")
    match = _ONE_DEVICE.fullmatch(wanted)
    if match is None:
        raise OpenRefused(
            f"the plugin of OpenVINO takes one device, not {wanted}; the full wheel takes several", stage="attach"
        )
    return match["kind"], int(match["number"] or 0)
