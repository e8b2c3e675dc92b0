"""Why WebGPU is or is not available: on Linux it reaches devices through Vulkan, which is looked at by itself.

WebGPU takes a device that computes on the CPU without a word, where there is no other.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ortolan_backends.checks import check_session, failed, ok, opening_failed, skipped
from ortolan_backends.contract import Check, Device, Outcome, Probe
from ortolan_backends.platforms import check_built_in
from ortolan_backends.plugin_backend import probe_plugin
from ortolan_backends.runtime.plugins import Plugin, find_package
from ortolan_backends.runtime.vulkan_devices import VULKAN_LOADER, VulkanFinding, look_at_vulkan
from ortolan_backends.runtime.wheel import installed_wheels

if TYPE_CHECKING:
    from ortolan_backends.contract import Backend

__all__ = ["judge_vulkan", "probe_webgpu"]

_VULKAN = "Vulkan"
_INCOMPATIBLE_DRIVER = -9
_DEVICE_MEND = (
    "install a Vulkan driver; in a container pass the GPU (`--device /dev/dri`, or the NVIDIA runtime with the "
    "capability graphics)"
)
_LOADER_MEND = f"install Vulkan's loader (`apt-get install libvulkan1`), and then {_DEVICE_MEND}"
# The plugin offers GPUs that Linux lists. With this in its environment it offers itself without one as well.
_SOFTWARE_MEND = f"{_DEVICE_MEND}; ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER=1 lets the plugin take a device in software"


def probe_webgpu(backend: "Backend", plugin: Plugin) -> Probe:
    """By the plugin where it is installed, else by what is compiled into the wheel."""
    found = look_at_vulkan() if sys.platform == "linux" else None
    vulkan = () if found is None else (judge_vulkan(found),)
    wheel = check_built_in(backend.provider, f"pip install {plugin.distributions[0]}")
    if find_package(plugin) is None and wheel.outcome is Outcome.OK:
        probe = _probe_built_in(backend, wheel, vulkan)
    else:
        mend = _SOFTWARE_MEND if found and _only_software(found) else _DEVICE_MEND
        probe = probe_plugin(backend.name, plugin, device_mend=mend, before=lambda: vulkan)
    # Vulkan knows the devices by their names, and the plugin shows the processor for one in software.
    return replace(probe, devices=_devices(found)) if found and found.devices else probe


def judge_vulkan(found: VulkanFinding) -> Check:
    """Whether Vulkan has a device, and one that is no processor in disguise."""
    if found.load_error:
        return failed(_VULKAN, opening_failed(VULKAN_LOADER, found.load_error), _LOADER_MEND)
    if not found.devices:
        return failed(_VULKAN, _without_device(found), _DEVICE_MEND)
    listed = ", ".join(f"{number}: {device.name}" for number, device in enumerate(found.devices))
    if _only_software(found):
        return Check(_VULKAN, Outcome.DEGRADED, f"{listed}, which computes on the CPU", _DEVICE_MEND)
    return ok(_VULKAN, listed)


def _without_device(found: VulkanFinding) -> str:
    if found.crash:
        return f"asking Vulkan {found.crash}"
    if found.result == _INCOMPATIBLE_DRIVER:
        return "Vulkan finds no driver that works here"
    return f"Vulkan answers {found.result}" if found.result else "Vulkan has no device here"


def _probe_built_in(backend: "Backend", wheel: Check, vulkan: Sequence[Check]) -> Probe:
    if any(check.outcome is Outcome.FAILED for check in vulkan):
        session: Sequence[Check] = skipped(["session"], "it cannot open before the above is mended")
    else:
        session = (check_session(backend.name, {}, f"see ONNX Runtime's message; {_DEVICE_MEND}"),)
    versions = {"onnxruntime": next(iter(installed_wheels().values()))}
    return Probe((wheel, *vulkan, *session), versions=versions)


def _only_software(found: VulkanFinding) -> bool:
    return bool(found.devices) and all(device.is_software for device in found.devices)


def _devices(found: VulkanFinding) -> tuple[Device, ...]:
    return tuple(
        Device("cpu" if device.is_software else "gpu", str(number), device.name)
        for number, device in enumerate(found.devices)
    )
