"""Drift: which nodes run further down than they did. A pure comparison of two placements."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ortolan_server.chains.placement import PlacedNode, Placement

__all__ = ["Drift", "MovedNode", "compare"]

_NAMED = 8
_ANOTHER_MODEL = 0.5


@dataclass(frozen=True, slots=True)
class MovedNode:
    """A node that another provider runs than before, or the same one at another rung."""

    name: str
    op_type: str
    before: str
    """The provider's short name; with its rung where both have the same name."""
    now: str

    def __str__(self) -> str:
        return f"{self.name} ({self.op_type}) {self.before} → {self.now}"


@dataclass(frozen=True, slots=True)
class Drift:
    """What became of the nodes of one placement in another. Sorted by name."""

    moved_down: tuple[MovedNode, ...] = ()
    """Drift, if there are any. Shape operators are among them only where the model has nothing else: contracts do not
    count them, and ONNX Runtime moves them about."""
    moved_up: tuple[MovedNode, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()
    """What else is not the same, shape operators that moved among it. For the reader, and no drift."""
    of_another_model: bool = False
    """Under half of the names are in both: what did not move tells nothing."""

    def sentence(self, than: str) -> str:
        """The nodes that run further down `than` something says, the first of them by name; empty when none do."""
        if not self.moved_down:
            return ""
        count = len(self.moved_down)
        named = ", ".join(map(str, self.moved_down[:_NAMED]))
        more = f" and {count - _NAMED} more" if count > _NAMED else ""
        return f"{'1 node runs' if count == 1 else f'{count} nodes run'} further down than {than}: {named}{more}"


def compare(before: Placement, now: Placement) -> Drift:
    """What moved, by the names of the nodes.

    Between two sessions on one chain, down is to a lower rung; a provider that no rung has is below them all. If the
    chain has changed, down is by the order in which the chain of `now` names the two providers, or else that of
    `before`; a provider that neither has beside the other is below.
    """
    same_chain = before.chain == now.chain
    is_lower = _by_rung if same_chain else _by_name((now.chain, before.chain))
    only_shapes = all(node.shape_only for node in now.nodes.values())
    down, up, shapes = [], [], []
    for name in sorted(before.nodes.keys() & now.nodes.keys()):
        old, new = before.nodes[name], now.nodes[name]
        if old.provider == new.provider and (old.rung == new.rung or not same_chain):
            continue
        moved = _moved(name, old, new)
        if old.shape_only and new.shape_only and not only_shapes:
            shapes.append(moved)
        elif is_lower(new, old):
            down.append(moved)
        else:
            up.append(moved)
    names, others = before.nodes.keys(), now.nodes.keys()
    another = len(names & others) < _ANOTHER_MODEL * max(len(names), len(others))
    return Drift(
        moved_down=tuple(down),
        moved_up=tuple(up),
        added=tuple(sorted(others - names)),
        removed=tuple(sorted(names - others)),
        differences=(
            *(["another model: under half of the nodes are in both"] if another else []),
            *(f"shape operator {moved}" for moved in shapes),
        ),
        of_another_model=another,
    )


def _moved(name: str, old: PlacedNode, new: PlacedNode) -> MovedNode:
    if old.provider != new.provider:
        return MovedNode(name, new.op_type, old.provider, new.provider)
    return MovedNode(name, new.op_type, f"{old.provider} at rung {old.rung}", f"{new.provider} at rung {new.rung}")


def _by_rung(node: PlacedNode, other: PlacedNode) -> bool:
    """Is `node` below `other`?"""
    return (node.rung == 0, node.rung) > (other.rung == 0, other.rung)


def _by_name(chains: Sequence[Sequence[str]]) -> Callable[[PlacedNode, PlacedNode], bool]:
    """The same, where rungs of two chains mean nothing to each other."""

    def is_lower(node: PlacedNode, other: PlacedNode) -> bool:
        both = {node.provider, other.provider}
        chain = next((chain for chain in chains if both.issubset(chain)), chains[-1])
        return _rank(chain, node.provider) > _rank(chain, other.provider)

    return is_lower


def _rank(chain: Sequence[str], provider: str) -> int:
    return chain.index(provider) if provider in chain else len(chain)
