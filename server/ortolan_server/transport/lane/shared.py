"""What the handlers of the lane work with."""

from concurrent.futures import Executor
from dataclasses import dataclass

from ortolan_server.codec import reads_quickly
from ortolan_server.services.inference import InferenceService
from ortolan_server.transport.lane.pump import LanePump
from ortolan_server.transport.pools import ByteBudget

__all__ = ["LARGE_BYTES", "LaneShared", "goes_aside"]

LARGE_BYTES = 256 * 1024
"""Reading more than this can take longer than a tiny call may wait."""
_COPIED_BYTES = 2 * 2**20
"""A tensor of more than this does, too: it may have to be copied."""


@dataclass(frozen=True, slots=True)
class LaneShared:
    """Helpers and bounds that they share."""

    service: InferenceService
    pump: LanePump
    aside: Executor
    """Reads what `goes_aside()`."""
    budget: ByteBudget
    max_message_bytes: int


def goes_aside(data: bytes) -> bool:
    """Whether a message is to be read by another thread than the loop's: a hand-over costs more than most of them."""
    size_bytes = len(data)
    return size_bytes > LARGE_BYTES and (size_bytes > _COPIED_BYTES or not reads_quickly(data))
