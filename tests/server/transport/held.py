"""A service that answers when a test says so, behind the streams of either lane."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, cast

import grpc

from ortolan.inference import inference_pb2 as pb
from ortolan_server.codec import InferRequest
from ortolan_server.engine.call import Pump
from ortolan_server.errors import CallCancelled
from ortolan_server.services.inference import Done, InferenceService
from ortolan_server.services.rejections import Rejections
from ortolan_server.transport.inference import StreamInfer
from ortolan_server.transport.lane.pump import LanePump
from ortolan_server.transport.lane.shared import LaneShared
from ortolan_server.transport.lane.streams import StreamLane
from ortolan_server.transport.pools import ByteBudget, CallPool
from tests.server.transport.lane.serving import LIMIT_S, lane_server

__all__ = ["LANES", "MAX_BYTES", "PATH", "Asked", "HeldService", "StreamServer", "response", "stream_server"]

LANES = ("fast", "public")
PATH = "/test.Held/Stream"
MAX_BYTES = 1 << 20
MAX_STREAMS = 8


class Asked:
    """One inference that waits for its answer; its own ticket."""

    runs_on_pump = False

    def __init__(self, request: InferRequest, deadline_s: float, done: Done, answered: Callable[[], None]) -> None:
        self.request = request.message
        self.size = sum(map(len, request.raw))
        self.deadline_s = deadline_s
        self.cancelled = threading.Event()
        self._done: list[Done] = [done]
        self._answered = answered

    def answer(self, data: bytes) -> None:
        """Once; later ones are lost, as the engine's are."""
        try:
            done = self._done.pop()
        except IndexError:
            return
        self._answered()
        done(data)

    def cancel(self) -> None:
        self.cancelled.set()
        try:
            done = self._done.pop()
        except IndexError:
            return
        self._answered()
        done(CallCancelled("the caller left"))


class HeldService:
    """In place of the InferenceService: keeps what is asked, and the most that was unanswered at a time."""

    def __init__(self, on_asked: Callable[[Asked], None] = lambda _asked: None) -> None:
        self.asked: list[Asked] = []
        self.rejections = Rejections()
        self.most = 0
        self.on_asked = on_asked
        self._unanswered = 0
        self._changed = threading.Condition()

    def infer(self, request: InferRequest, deadline_s: float, done: Done, pump: Pump | None = None) -> Asked:
        asked = Asked(request, deadline_s, done, self._answered)
        with self._changed:
            self._unanswered += 1
            self.most = max(self.most, self._unanswered)
            self.asked.append(asked)
            self._changed.notify_all()
        self.on_asked(asked)
        return asked

    def wait_for(self, count: int) -> list[Asked]:
        """The first so many, once they have come."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.asked) >= count, LIMIT_S), f"only {len(self.asked)} came"
            return self.asked[:count]

    def comes(self, count: int, limit_s: float) -> bool:
        """Whether so many come within that time."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.asked) >= count, limit_s)

    def _answered(self) -> None:
        with self._changed:
            self._unanswered -= 1


class StreamServer:
    """What a test needs of it."""

    def __init__(self, channel: grpc.Channel, handler: StreamLane | StreamInfer, server: grpc.Server) -> None:
        self.channel = channel
        self.handler = handler
        self.server = server

    def open(self, messages: Iterator[bytes], **keywords: Any) -> Any:
        start: grpc.StreamStreamMultiCallable[bytes, bytes] = self.channel.stream_stream(PATH)
        return start(messages, **{"timeout": LIMIT_S, **keywords})


@contextmanager
def stream_server(lane: str, service: HeldService, **options: int) -> Iterator[StreamServer]:
    """`options` are gRPC's, without their `grpc.`."""
    held = cast("InferenceService", service)
    budget = ByteBudget(1 << 30)
    if lane == "fast":
        with ThreadPoolExecutor(2) as aside:
            pump = LanePump()
            streams = StreamLane(LaneShared(held, pump, aside, budget, MAX_BYTES), max_streams=MAX_STREAMS)
            with lane_server({PATH: streams}, pump, **options) as (running, channel):
                yield StreamServer(channel, streams, running.server)
        return
    public = StreamInfer(held, CallPool(MAX_STREAMS, "stream"), budget, MAX_BYTES)
    package, _, name = PATH[1:].partition("/")
    handlers = grpc.method_handlers_generic_handler(package, {name: grpc.stream_stream_rpc_method_handler(public)})
    server = grpc.server(
        ThreadPoolExecutor(2),
        handlers=[handlers],
        options=[(f"grpc.{name}", value) for name, value in options.items()],
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield StreamServer(channel, public, server)
    finally:
        assert server.stop(0).wait(LIMIT_S), "the server did not stop"


def response(request: pb.ModelInferRequest, size: int = 0) -> bytes:
    """The answer that says which request it is for, with so many bytes."""
    answer = pb.ModelInferResponse(model_name=request.model_name, id=request.id)
    answer.raw_output_contents.append(bytes(size))
    return answer.SerializeToString()
