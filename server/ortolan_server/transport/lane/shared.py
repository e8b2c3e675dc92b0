"""What the handlers of the lane work with."""

from concurrent.futures import Executor
from dataclasses import dataclass

from ortolan_server.services.inference import InferenceService
from ortolan_server.transport.lane.pump import LanePump
from ortolan_server.transport.pools import ByteBudget

__all__ = ["LaneShared"]


@dataclass(frozen=True, slots=True)
class LaneShared:
    """Helpers and bounds that they share."""

    service: InferenceService
    pump: LanePump
    aside: Executor
    """Reads large messages, so that small ones need not wait for them."""
    budget: ByteBudget
    max_message_bytes: int
