"""Placements for tests, written as a table of nodes."""

from collections.abc import Sequence

from ortolan_server.chains.placement import PlacedNode, Placement

__all__ = ["CHAIN", "SHAPES", "place"]

CHAIN = ("tensorrt", "cuda", "cpu")
SHAPES = ("Shape", "Gather")


def place(nodes: str, *, chain: Sequence[str] = CHAIN, rung: int = 1) -> Placement:
    """`place("conv Conv cuda, shape Shape cpu@0")`: name, operator, provider, and its rung where the chain does not
    tell it; operators in SHAPES only compute shapes.
    """
    placed = {}
    for text in filter(None, nodes.split(", ")):
        name, op_type, where = text.split()
        provider, _, number = where.partition("@")
        at = int(number) if number else chain.index(provider) + 1 if provider in chain else 0
        placed[name] = PlacedNode(op_type, provider, at, op_type in SHAPES)
    return Placement(tuple(chain), rung, placed)
