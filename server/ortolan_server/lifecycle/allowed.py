"""Which rungs of its chain a version may go to, and whether one of them can serve now."""

from collections.abc import Sequence

from ortolan_backends.contract import Availability
from ortolan_server.chains.chain import Chain
from ortolan_server.chains.registry import Registry

__all__ = ["allowed_below", "why_unfit"]


def allowed_below(chain: Chain, rung: int) -> list[int]:
    """Rungs below one at which the contract lets a version serve, as far as their providers tell."""
    contract, lowest = chain.contract, len(chain.rungs)
    if chain.locked is not None and contract.on_drift == "refuse":
        lowest = chain.locked.rung  # below it all of its nodes would move down
    return [
        number
        for number, other in enumerate(chain.rungs, 1)
        if rung < number <= lowest and (contract.otherwise == "degrade" or other.name in contract.providers)
    ]


def why_unfit(registry: Registry, chain: Chain, rungs: Sequence[int]) -> str:
    """Why none of these rungs can serve, as a fresh look at their providers tells; empty: one may."""
    names = dict.fromkeys(chain.rungs[number - 1].name for number in rungs)
    probes = {name: registry.probe(name, refresh=True) for name in names}
    if any(probe.availability is not Availability.UNAVAILABLE for probe in probes.values()):
        return ""
    return "; ".join(f"{name}: {probe.reason}" for name, probe in probes.items())
