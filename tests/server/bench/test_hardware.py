"""Which rungs need more than the processor."""

from types import SimpleNamespace
from typing import cast

import pytest

from ortolan_backends.contract import Device
from ortolan_backends.options import ProviderOptions
from ortolan_server.bench.hardware import hardware_of, used_devices

CPU, GPU, NPU = (Device(kind, "0", f"a {kind}") for kind in ("cpu", "gpu", "npu"))


@pytest.mark.parametrize(
    ("devices", "options", "wanted"),
    [
        ((CPU,), {}, "cpu"),
        ((GPU,), {}, "accelerator"),
        ((CPU, GPU), {"device_type": "CPU"}, "cpu"),
        ((CPU, GPU), {"device_type": "GPU.0"}, "accelerator"),
        ((CPU, GPU), {"device_type": "HETERO:GPU,CPU"}, "accelerator"),
        ((CPU, GPU, NPU), {"device_type": "AUTO"}, "accelerator"),
        ((CPU,), {"device_type": "AUTO"}, "cpu"),
        ((CPU, GPU), {"device": "cpu"}, "cpu"),
        ((), {}, "accelerator"),
    ],
)
def test_by_devices_and_options(devices: tuple[Device, ...], options: dict[str, str], wanted: str) -> None:
    chosen = used_devices(devices, cast("ProviderOptions", SimpleNamespace(**options)))
    assert hardware_of(chosen) == wanted
