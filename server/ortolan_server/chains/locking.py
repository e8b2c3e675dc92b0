"""Between assignments and the lock: what is written into it, and what it is compared by."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ortolan_backends.contract import Probe
from ortolan_backends.errors import BackendError
from ortolan_backends.runtime.assignment import Assignment, ProviderShare
from ortolan_backends.runtime.wheel import require_one_wheel
from ortolan_server.chains.chain import Chain, ProviderNames
from ortolan_server.chains.placement import PlacedNode, Placement
from ortolan_server.repository.assignment_lock import AssignmentLock, LockedProvider

__all__ = ["Surroundings", "changed_options", "differences", "lock_of", "locked_placement", "look_around"]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a decision of ONNX Runtime depends on, the model and the chain apart."""

    files: Mapping[str, str]
    """SHA-256 of the model's files, by name."""
    versions: Mapping[str, str]
    devices: Mapping[str, tuple[str, ...]]
    """By the provider's short name; of one that cannot be used here none."""


def look_around(files: Mapping[str, str], providers: Iterable[str], probe: Callable[[str], Probe]) -> Surroundings:
    """As the backends of `providers`, by short name, find it on this machine."""
    package, version = require_one_wheel()
    versions = {"onnxruntime": version, "onnxruntime_package": package}
    devices: dict[str, tuple[str, ...]] = {}
    for name in providers:
        try:
            found = probe(name)
        except BackendError:  # it was locked where a package was installed that is not here
            devices[name] = ()
            continue
        versions |= found.versions
        devices[name] = tuple(dict.fromkeys(f"{device.kind} {device.name}" for device in found.devices))
    return Surroundings(files, versions, devices)


def lock_of(chain: Chain, rung: int, assignment: Assignment, around: Surroundings) -> AssignmentLock:
    """The lock of a session that was opened at `rung`."""
    names = chain.provider_names(rung)
    return AssignmentLock(
        format=1,
        serving=chain.rungs[rung - 1].name,
        rung=rung,
        chain=chain.names,
        files=dict(around.files),
        versions=dict(around.versions),
        provider=tuple(_locked(share, names, around) for share in assignment.shares),
    )


def locked_placement(lock: AssignmentLock) -> Placement:
    """Where the lock says that the nodes run."""
    nodes = {
        name: PlacedNode(op_type, provider.name, provider.rung, shape_only)
        for provider in lock.provider
        for kind, shape_only in ((provider.nodes, False), (provider.shape_nodes, True))
        for name, op_type in kind.items()
    }
    return Placement(lock.chain, lock.rung, nodes)


def differences(lock: AssignmentLock, chain: Chain, around: Surroundings) -> tuple[str, ...]:
    """What is not as it was when the lock was made, the nodes apart: what may have moved them."""
    found = []
    if lock.chain != chain.names:
        found.append(f"chain: {', '.join(lock.chain)}, now {chain}")
    for name in sorted(lock.files.keys() | around.files.keys()):
        if lock.files.get(name) != around.files.get(name):
            state = "is new" if name not in lock.files else "is gone" if name not in around.files else "has changed"
            found.append(f"{name} {state}")
    found += _changes("", lock.versions, around.versions)
    before = {provider.name: ", ".join(provider.devices) for provider in lock.provider}
    now = {name: ", ".join(devices) for name, devices in around.devices.items() if name in before}
    return (*found, *_changes("devices of ", before, now))


def changed_options(before: Iterable[LockedProvider], now: Iterable[LockedProvider]) -> tuple[str, ...]:
    """What the sessions of both gave back, of providers that have nodes in both."""
    others = {provider.name: provider for provider in now}
    return tuple(
        change
        for provider in before
        if provider.name in others
        for change in _changes(f"{provider.name}: ", provider.options, others[provider.name].options)
    )


def _locked(share: ProviderShare, names: ProviderNames, around: Surroundings) -> LockedProvider:
    name = names[share.provider]
    return LockedProvider(
        name=name,
        rung=names.rung(share.provider),
        node_share=round(share.node_share, 6),
        fragments=share.fragments,
        devices=around.devices.get(name, ()),
        # Folders of this machine would be a difference on each other one.
        options={key: value for key, value in share.effective_options.items() if not Path(value).is_absolute()},
        nodes={node.name: node.op_type for node in share.nodes if not node.shape_only},
        shape_nodes={node.name: node.op_type for node in share.nodes if node.shape_only},
    )


def _changes(of: str, before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return [
        f"{of}{key}: {before.get(key) or 'none'}, now {now.get(key) or 'none'}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]
