"""`instance_group`: on which device a model runs, and how many runs it makes at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from ortolan.inference import model_config_pb2 as pb
from ortolan_server.repository.triton.fields import item
from ortolan_server.repository.triton.notes import Ledger

__all__ = ["Device", "Instances", "read_instances"]

_KEY = "instance_group"
_Group = pb.ModelInstanceGroup
_ON_CPU = (_Group.KIND_CPU, _Group.KIND_MODEL)


class Device(Enum):
    """Where the instances shall be. EITHER: on a GPU if there is one, else on the CPU."""

    GPU = "gpu"
    CPU = "cpu"
    EITHER = "either"


@dataclass(frozen=True, slots=True)
class Instances:
    """What the groups ask for, taken together."""

    device: Device
    device_id: int = 0
    """The GPU."""
    count: int = 1
    """Runs at once."""


def read_instances(config: pb.ModelConfig, *, wants_gpu: bool, ledger: Ledger) -> Instances:
    """`wants_gpu`: the model has an accelerator for GPUs, which decides where the kind leaves it open."""
    groups = [(item(_KEY, index), group) for index, group in enumerate(config.instance_group)]
    for key, group in groups:
        if group.passive:
            ledger.not_honoured(key, "passive", "a passive group takes no requests, and none is made")
    active = [(key, group) for key, group in groups if not group.passive]
    device = _device([group for _, group in active], wants_gpu=wants_gpu)
    taken = [(key, group) for key, group in active if device is Device.CPU or group.kind not in _ON_CPU]
    for key, group in active:
        if (key, group) not in taken:
            ledger.not_honoured(
                key, _Group.Kind.Name(group.kind), "no instances on the CPU are made beside those on a GPU"
            )
    if not taken:
        ledger.translated(_KEY, "", _left_open(device))
    for key, group in taken:
        _note_kind(key, group, device, ledger)
    return Instances(device, _device_id(taken, device, ledger), _count(taken, ledger))


def _device(groups: Sequence[_Group], *, wants_gpu: bool) -> Device:
    kinds = {group.kind for group in groups}
    if _Group.KIND_GPU in kinds:
        return Device.GPU
    if kinds and kinds <= set(_ON_CPU):
        return Device.CPU
    return Device.GPU if wants_gpu else Device.EITHER


def _left_open(device: Device) -> str:
    if device is Device.GPU:
        return "on a GPU, since an accelerator for GPUs is asked for"
    return "on a GPU if there is one, else on the CPU; KIND_GPU or KIND_CPU says which"


def _note_kind(key: str, group: _Group, device: Device, ledger: Ledger) -> None:
    key, name = f"{key}.kind", _Group.Kind.Name(group.kind)
    if group.kind == _Group.KIND_AUTO:
        ledger.translated(key, name, _left_open(device))
    elif group.kind == _Group.KIND_MODEL:
        ledger.translated(key, name, "on the CPU, as with Triton's backend for ONNX Runtime")
    else:
        ledger.honoured(key, name, "the model's chain begins there, and serves nowhere else")


def _device_id(groups: Sequence[tuple[str, _Group]], device: Device, ledger: Ledger) -> int:
    if device is Device.CPU:
        return 0
    wanted = list(dict.fromkeys(gpu for _, group in groups for gpu in group.gpus))
    first = wanted[0] if wanted else 0
    for key, group in groups:
        others = [str(gpu) for gpu in group.gpus if gpu != first]
        if others:
            ledger.not_honoured(
                f"{key}.gpus", list(group.gpus), f"one session on GPU {first}; without {', '.join(others)}"
            )
        elif group.gpus:
            ledger.honoured(f"{key}.gpus", list(group.gpus), f"device_id = {first}")
        elif group.kind == _Group.KIND_GPU:
            ledger.translated(f"{key}.gpus", "", f"not said, so every GPU of the machine: here only GPU {first}")
    return first


def _count(groups: Sequence[tuple[str, _Group]], ledger: Ledger) -> int:
    for key, group in groups:
        if group.count < 0:
            ledger.refuse(f"{key}.count", f"must be at least 1, not {group.count}")
        elif group.count:
            ledger.translated(f"{key}.count", group.count, "that many runs at once on one session: limits.concurrency")
    return sum(max(group.count, 1) for _, group in groups) or 1
