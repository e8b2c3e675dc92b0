"""The fast lane as the server sees it: started instead of the public server, and drained."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import grpc

from ortolan_server.services.inference import InferenceService
from ortolan_server.settings import Settings
from ortolan_server.transport.lane.core import Handler, Lane
from ortolan_server.transport.lane.pump import LanePump
from ortolan_server.transport.lane.streams import StreamLane
from ortolan_server.transport.lane.unary import UnaryLane
from ortolan_server.transport.pools import ByteBudget
from ortolan_server.transport.routes import INFERENCE

__all__ = ["FastLane"]

# They decode and encode what is large; two keep a 16 MB message from waiting for another.
_ASIDE_THREADS = 2
_LOOK_S = 0.005
_DEAD = 1


class FastLane:
    """ModelInfer and ModelStreamInfer on the core's completion queue; every other method as ever."""

    def __init__(
        self, server: grpc.Server, inference: InferenceService, budget: ByteBudget, settings: Settings
    ) -> None:
        pump = LanePump()
        self._aside = ThreadPoolExecutor(_ASIDE_THREADS, thread_name_prefix="lane-aside")
        unary = self._unary = UnaryLane(
            inference,
            pump,
            self._aside,
            budget,
            max_in_flight=settings.max_in_flight,
            max_message_bytes=settings.max_message_bytes,
        )
        self._streams = StreamLane(
            inference,
            pump,
            self._aside,
            budget,
            max_streams=settings.max_streams,
            max_message_bytes=settings.max_message_bytes,
        )
        handlers: dict[str, Handler] = {
            f"/{INFERENCE}/ModelInfer": unary,
            f"/{INFERENCE}/ModelStreamInfer": self._streams,
        }
        self._lane = Lane(server, handlers, pump, _die)

    def start(self) -> None:
        """Instead of `server.start()`."""
        self._lane.start()

    @property
    def in_flight(self) -> int:
        """Unary calls that are not over."""
        return self._unary.in_flight

    @property
    def open_streams(self) -> int:
        return self._streams.open

    @property
    def idle(self) -> bool:
        return self._lane.open_calls == 0

    def drain(self, deadline_s: float) -> None:
        """After `server.stop()` was called: ends streams, and waits for calls in flight."""
        self._streams.drain()
        while not self.idle and time.monotonic() < deadline_s:
            time.sleep(_LOOK_S)


def _die() -> None:
    """A server whose loop is dead answers nobody: whoever supervises it has to see that."""
    os._exit(_DEAD)
