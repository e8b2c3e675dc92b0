"""Whether a rung works on the processor that every server has, or on more."""

import re
from collections.abc import Sequence
from typing import Literal

from ortolan_backends.contract import Device
from ortolan_backends.options import ProviderOptions

__all__ = ["hardware_of", "used_devices"]

_CPU = "cpu"
# Options with which a rung of a family with several kinds of devices says which it takes: openvino's, ggml's.
_CHOOSING = ("device_type", "device")


def used_devices(devices: Sequence[Device], options: ProviderOptions) -> tuple[Device, ...]:
    """Those of the devices that its probe found which a rung with these options may use."""
    named: set[str] = set()
    for option in _CHOOSING:
        named |= set(re.findall(r"[a-z]+", str(getattr(options, option, "")).lower()))
    chosen = tuple(device for device in devices if device.kind in named)
    return chosen or tuple(devices)


def hardware_of(devices: Sequence[Device]) -> Literal["cpu", "accelerator"]:
    """`accelerator` as soon as one is no CPU; also for none, as whoever computes and does not say where may cost."""
    return "cpu" if devices and all(device.kind == _CPU for device in devices) else "accelerator"
