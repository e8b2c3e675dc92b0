"""The devices of Vulkan, through its loader `libvulkan.so.1`.

`python -m ortolan_backends.runtime.vulkan_devices {}` is the subprocess that asks it: it loads every Vulkan driver of
the machine, and one may crash.
"""

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ortolan_backends.runtime.child import ask, respond

__all__ = ["VULKAN_LOADER", "VulkanDevice", "VulkanFinding", "look_at_vulkan"]

VULKAN_LOADER = "libvulkan.so.1"

_TIMEOUT_S = 60.0
_INSTANCE_CREATE_INFO = 1
_CPU = 4
# VkPhysicalDeviceProperties: four numbers, the type, the name, and 540 bytes more.
_PROPERTIES_BYTES = 2048
_TYPE_AT, _NAME_AT, _NAME_BYTES = 16, 20, 256


@dataclass(frozen=True, slots=True)
class VulkanDevice:
    """A physical device as its driver describes it."""

    name: str
    is_software: bool
    """It computes on the CPU."""


@dataclass(frozen=True, slots=True)
class VulkanFinding:
    """What the loader answered."""

    crash: str = ""
    """How the subprocess ended without an answer."""
    load_error: str = ""
    """The dynamic linker's text when there is no loader."""
    result: int = 0
    """The VkResult of the first call that failed; 0: none did."""
    devices: tuple[VulkanDevice, ...] = ()


def look_at_vulkan() -> VulkanFinding:
    """Asks Vulkan in a subprocess. Never raises."""
    answer = ask("ortolan_backends.runtime.vulkan_devices", {}, timeout_s=_TIMEOUT_S)
    if answer.value is None:
        return VulkanFinding(crash=answer.ending)
    found = dict(answer.value)
    devices = tuple(VulkanDevice(name, is_software) for name, is_software in found.pop("devices", ()))
    return VulkanFinding(**found, devices=devices)


class _InstanceCreateInfo(ctypes.Structure):
    """Without an application, layers and extensions it asks for Vulkan 1.0, which every loader has."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("flags", ctypes.c_uint32),
        ("application", ctypes.c_void_p),
        ("layer_count", ctypes.c_uint32),
        ("layers", ctypes.c_void_p),
        ("extension_count", ctypes.c_uint32),
        ("extensions", ctypes.c_void_p),
    )


def _look(_question: object) -> Mapping[str, Any]:
    """The child's side: the fields of a VulkanFinding."""
    try:
        vulkan = ctypes.CDLL(VULKAN_LOADER)
    except OSError as error:
        return {"load_error": str(error)}
    instance = ctypes.c_void_p()
    created = vulkan.vkCreateInstance(
        ctypes.byref(_InstanceCreateInfo(type=_INSTANCE_CREATE_INFO)), None, ctypes.byref(instance)
    )
    if created:
        return {"result": created}
    count = ctypes.c_uint32(0)
    listed = vulkan.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), None)
    handles = (ctypes.c_void_p * count.value)()
    listed = listed or vulkan.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), handles)
    return {"result": listed, "devices": [_describe(vulkan, handle) for handle in handles if handle]}


def _describe(vulkan: ctypes.CDLL, handle: int) -> tuple[str, bool]:
    properties = ctypes.create_string_buffer(_PROPERTIES_BYTES)
    vulkan.vkGetPhysicalDeviceProperties(ctypes.c_void_p(handle), properties)
    name = properties.raw[_NAME_AT : _NAME_AT + _NAME_BYTES].partition(b"\0")[0].decode(errors="replace")
    kind = ctypes.c_int.from_buffer(properties, _TYPE_AT).value
    return name, kind == _CPU


if __name__ == "__main__":
    respond(_look)
