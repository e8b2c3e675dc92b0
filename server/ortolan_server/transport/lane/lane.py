"""The fast lane as the server sees it: started instead of the public server, and drained."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import grpc

from ortolan_server.services.inference import InferenceService
from ortolan_server.settings import Settings
from ortolan_server.telemetry.access import AccessLog
from ortolan_server.transport.admission import Guard
from ortolan_server.transport.lane.core import CoreCall, Handler, Lane
from ortolan_server.transport.lane.guarded import Guarded
from ortolan_server.transport.lane.logged import LoggedCall
from ortolan_server.transport.lane.pump import LanePump
from ortolan_server.transport.lane.shared import LaneShared
from ortolan_server.transport.lane.streams import StreamLane
from ortolan_server.transport.lane.unary import UnaryLane
from ortolan_server.transport.pools import ByteBudget
from ortolan_server.transport.routes import MODEL_INFER, MODEL_STREAM_INFER

__all__ = ["FastLane"]

# They decode and encode what is large; two keep a 16 MB message from waiting for another.
_ASIDE_THREADS = 2
_LOOK_S = 0.005
_DEAD = 1


class FastLane:
    """ModelInfer and ModelStreamInfer on the core's completion queue; every other method as ever."""

    def __init__(  # noqa: PLR0913 - what the server has built
        self,
        server: grpc.Server,
        inference: InferenceService,
        budget: ByteBudget,
        settings: Settings,
        guard: Guard | None,
        access: AccessLog | None,
    ) -> None:
        pump = LanePump()
        aside = ThreadPoolExecutor(_ASIDE_THREADS, thread_name_prefix="lane-aside")
        shared = LaneShared(inference, pump, aside, budget, settings.max_message_bytes)
        unary = self._unary = UnaryLane(shared, max_in_flight=settings.max_in_flight)
        self._streams = StreamLane(shared, max_streams=settings.max_streams)
        handlers: dict[str, Handler] = {MODEL_INFER: unary, MODEL_STREAM_INFER: self._streams}
        if guard is not None:
            rejections = inference.rejections
            handlers = {path: Guarded(path, guard, handler, rejections) for path, handler in handlers.items()}
        calls = CoreCall if access is None else partial(LoggedCall, access)
        self._lane = Lane(server, handlers, pump, _die, calls)

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
        while (self._lane.calls_may_come or not self.idle) and time.monotonic() < deadline_s:
            time.sleep(_LOOK_S)


def _die() -> None:
    """A server whose loop is dead answers nobody: whoever supervises it has to see that."""
    os._exit(_DEAD)
