"""A chain: the rungs that a model's owner asked for, in order, and the contract they are held against."""

from collections.abc import Callable
from dataclasses import dataclass

from ortolan_backends.runtime.assignment import Assignment
from ortolan_backends.runtime.session import OpenRung
from ortolan_server.chains.contract import Contract, Verdict, judge
from ortolan_server.chains.drift import Drift, compare
from ortolan_server.chains.placement import PlacedNode, Placement

__all__ = ["Chain", "ProviderNames", "Rung"]


@dataclass(frozen=True, slots=True)
class Rung:
    """One entry of a chain."""

    name: str
    """The provider's short name."""
    declared: dict[str, str]
    """Its options as written, as text."""
    opening: OpenRung


@dataclass(frozen=True, slots=True)
class Chain:
    """What a model's owner asked for."""

    rungs: tuple[Rung, ...]
    contract: Contract
    short_name: Callable[[str], str]
    """Our name of a provider that no rung has, such as the CPU below a chain that does not name it."""
    threads: int = 0
    """That work on one operator, where the options of no rung say it; 0: as many as ONNX Runtime takes."""
    locked: Placement | None = None
    """Where the model's assignment.lock says that its nodes run; None: it has none."""

    def __str__(self) -> str:
        return ", ".join(self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """Short names of the providers, from the top."""
        return tuple(rung.name for rung in self.rungs)

    def provider_names(self, rung: int) -> "ProviderNames":
        """How the providers of a session that was opened at `rung` are called; 0: of none."""
        return ProviderNames(self, rung)

    def place(self, rung: int, assignment: Assignment) -> Placement:
        """Where the nodes of a session that was opened at `rung` are."""
        names = self.provider_names(rung)
        nodes = {
            node.name: PlacedNode(node.op_type, names[node.provider], names.rung(node.provider), node.shape_only)
            for node in assignment.nodes
        }
        return Placement(self.names, rung, nodes)

    def drift(self, rung: int, assignment: Assignment) -> Drift | None:
        """What has moved since the lock was made; None without one."""
        return None if self.locked is None else compare(self.locked, self.place(rung, assignment))

    def judge(self, rung: int, assignment: Assignment) -> Verdict:
        """Whether a session that was opened at `rung` may serve: by the contract, and by the lock."""
        return judge(assignment, self.contract, self.rungs[rung - 1].name, self.drift(rung, assignment))


class ProviderNames:
    """Our names of a session's providers, and their rungs.

    Two backends may attach the same provider: then the upper rung's name counts, of those that are in the session.
    """

    def __init__(self, chain: Chain, rung: int) -> None:
        first = max(rung, 1)
        below = list(enumerate(chain.rungs[first - 1 :], first))
        self._rungs = {rung.opening.backend.provider: (number, rung.name) for number, rung in reversed(below)}
        self._short_name = chain.short_name

    def __getitem__(self, provider: str) -> str:
        return self._rungs[provider][1] if provider in self._rungs else self._short_name(provider)

    def rung(self, provider: str) -> int:
        """0: it is at none."""
        return self._rungs[provider][0] if provider in self._rungs else 0
