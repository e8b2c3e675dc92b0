"""What has moved since a lock was made, as a message of `ortolan.v1`."""

from collections.abc import Iterable

from ortolan.v1 import findings_pb2 as pb
from ortolan_server.chains.drift import Drift, MovedNode

__all__ = ["drift_message"]


def drift_message(drift: Drift, policy: str) -> pb.Drift:
    """`policy` is what the model's [lock] says of nodes that moved down."""
    return pb.Drift(
        moved_down=_moved(drift.moved_down),
        moved_up=_moved(drift.moved_up),
        added=drift.added,
        removed=drift.removed,
        differences=drift.differences,
        policy=policy,
    )


def _moved(nodes: Iterable[MovedNode]) -> list[pb.MovedNode]:
    return [
        pb.MovedNode(name=node.name, op_type=node.op_type, from_provider=node.before, to_provider=node.now)
        for node in nodes
    ]
