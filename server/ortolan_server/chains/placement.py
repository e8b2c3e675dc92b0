"""Where the nodes of a model are, in our words: what two assignments are compared by."""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["PlacedNode", "Placement"]


@dataclass(frozen=True, slots=True)
class PlacedNode:
    """One node, by its name in the model."""

    op_type: str
    provider: str
    """By short name."""
    rung: int
    """The rung of the chain that brought the provider; 0: none did."""
    shape_only: bool


@dataclass(frozen=True, slots=True)
class Placement:
    """All nodes of a session, or of a lock, by name."""

    chain: tuple[str, ...]
    """Short names, from the top."""
    rung: int
    """At which the session was opened."""
    nodes: Mapping[str, PlacedNode]

    @property
    def counted(self) -> Mapping[str, PlacedNode]:
        """Those that shares count: without shape operators, unless the model has nothing else."""
        return {name: node for name, node in self.nodes.items() if not node.shape_only} or self.nodes

    @property
    def serving_share(self) -> float:
        """Share of the counted nodes on the provider of the rung that was opened, in [0, 1]; 1 without nodes."""
        counted = self.counted.values()
        on_it = sum(node.provider == self.chain[self.rung - 1] for node in counted)
        return on_it / len(counted) if counted else 1.0
