"""How much memory a session of a model takes, as far as that can be known before it is open.

By size of the model, a session on `cpu` took 1.87 times that of a model of 252 MB in one file, and 1.00 times that of
the same with external data. OpenVINO, which compiles on the host, took 4.03 times the first. What runs take beside
that depends on their inputs, and is not counted. Resident memory, ONNX Runtime 1.32 and onnxruntime-openvino 1.24.
"""

from collections.abc import Sequence

from ortolan_backends.contract import Caches, Device, Probe
from ortolan_backends.runtime.model import ModelFile
from ortolan_backends.runtime.session import OpenRung
from ortolan_server.chains.budget import HOST, Amount
from ortolan_server.repository.external_data import external_files

__all__ = ["amounts_of"]

_IN_FILE = 2
"""A model in one file is held twice: as it was read, and as its session packs it."""
_COMPILED = 2
"""By so much more of a provider that compiles for the host's own processor."""
_CPU = "cpu"


def amounts_of(model: ModelFile, rung: OpenRung, probe: Probe) -> tuple[Amount, ...]:
    """Of a session that opens the model on that rung: on the host, and on each device it uses."""
    in_file = model.path.stat().st_size
    external = sum((model.path.parent / name).stat().st_size for name in external_files(model.proto))
    devices = [device for device in _used(rung, probe) if device.kind != _CPU]
    host = _IN_FILE * in_file + external
    if rung.backend.compiles and not devices:
        host *= _COMPILED
    on_each = max(in_file + external, getattr(rung.options, "memory_limit", None) or 0)
    return Amount(HOST, host), *(
        Amount(f"{device.kind}:{device.id}", on_each, device.memory_bytes) for device in devices
    )


def _used(rung: OpenRung, probe: Probe) -> Sequence[Device]:
    """The devices of a rung, by its options; the first that was found where these do not say it."""
    chosen = str(getattr(rung.options, "device_id", ""))
    if named := [device for device in probe.devices if device.id == chosen]:
        return named
    if isinstance(rung.backend, Caches):
        return rung.backend.compiles_for(rung.options, probe.devices)
    return probe.devices[:1]
