"""What has moved since a lock was made, for people: a line for each node, as in a diff."""

from collections.abc import Iterable

from rich.text import Text

from ortolan.v1 import findings_pb2 as found
from ortolan.v1 import provider_reflection_pb2 as pb
from ortolan_server.commands._console import answers
from ortolan_server.commands._styles import BAD, GOOD, QUIET

__all__ = ["drift_lines", "print_drift"]


def print_drift(assignments: Iterable[pb.Assignment]) -> None:
    """What has moved in each, the names of nodes whole: a line is never wrapped."""
    for assignment in assignments:
        name, drift = f"{assignment.model}/{assignment.version}", assignment.drift
        if assignment.HasField("drift"):
            count = len(drift.moved_down)
            told = "1 node has" if count == 1 else f"{count or 'no'} nodes have"
            lines = [Text(f"{name}: {told} moved down", "bold"), *drift_lines(drift)]
        else:
            lines = [Text(f"{name}: not held against its lock", "bold")]
        for line in lines:
            answers().print(line, soft_wrap=True)
        for reason in assignment.verdict.reasons:
            answers().print(Text(f"! {reason}"), soft_wrap=True)


def drift_lines(drift: found.Drift) -> list[Text]:
    """`-` is a node that moved down, `+` one that moved up, `~` what else differs."""
    lines = [
        *_moved("-", BAD, drift.moved_down),
        *_moved("+", GOOD, drift.moved_up),
        *(Text(f"~ node {name} is new", QUIET) for name in drift.added),
        *(Text(f"~ node {name} is gone", QUIET) for name in drift.removed),
        *(Text(f"~ {difference}", QUIET) for difference in drift.differences),
    ]
    return lines or [Text("as in assignment.lock", GOOD)]


def _moved(mark: str, style: str, nodes: Iterable[found.MovedNode]) -> list[Text]:
    nodes = list(nodes)
    width = max((len(_named(node)) for node in nodes), default=0)
    return [
        Text(f"{mark} {_named(node).ljust(width)}  {node.from_provider} → {node.to_provider}", style) for node in nodes
    ]


def _named(node: found.MovedNode) -> str:
    return f"{node.name} ({node.op_type})"
