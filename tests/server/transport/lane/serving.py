"""Servers whose calls go through the lane, with handlers made for a test."""

import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
from grpc_health.v1 import health, health_pb2_grpc

from ortolan_server.transport.lane.core import CoreCall, Handler, Lane
from ortolan_server.transport.lane.pump import LanePump

__all__ = ["LIMIT_S", "WITHIN_S", "Echo", "LaneServer", "lane_server", "method"]

LIMIT_S = 60.0
WITHIN_S = 1.0
"""The deadline of calls that must meet it: long enough for one on an open connection to arrive on a busy machine."""


class Echo:
    """Answers with what came; remembers its calls, and which of them ended."""

    def __init__(self) -> None:
        self.calls: list[CoreCall] = []
        self.messages: list[bytes | None] = []
        self.came = threading.Event()
        self.left = threading.Event()
        self.ended_calls = threading.Semaphore(0)

    def opened(self, call: CoreCall) -> None:
        self.calls.append(call)
        call.receive()

    def received(self, call: CoreCall, data: bytes | None) -> None:
        self.messages.append(data)
        self.answer(call, data)
        self.came.set()

    def answer(self, call: CoreCall, data: bytes | None) -> None:
        call.answer(data or b"")

    def sent(self, call: CoreCall) -> None:
        """Unary."""

    def closed(self, call: CoreCall) -> None:
        self.left.set()
        call.finish(grpc.StatusCode.CANCELLED.value[0])

    def ended(self, call: CoreCall) -> None:
        self.ended_calls.release()


class LaneServer:
    """A bound server and what its loop said at its end."""

    def __init__(self, server: grpc.Server, lane: Lane, pump: LanePump, port: int, died: threading.Event) -> None:
        self.server = server
        self.lane = lane
        self.pump = pump
        self.address = f"127.0.0.1:{port}"
        self.died = died

    def wait_until_idle(self) -> None:
        """A call is still counted when its handler hears that it is over. Raises AssertionError when one stays."""
        give_up_s = time.monotonic() + LIMIT_S
        while self.lane.open_calls:
            assert time.monotonic() < give_up_s, f"{self.lane.open_calls} calls stay open"
            time.sleep(0.001)


@contextmanager
def lane_server(
    handlers: Mapping[str, Handler], pump: LanePump | None = None, **options: int
) -> Iterator[tuple[LaneServer, grpc.Channel]]:
    """Serves `handlers` by path through the lane, and health beside it; `options` without their `grpc.`."""
    died = threading.Event()
    pump = pump or LanePump()
    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool, options=[(f"grpc.{name}", value) for name, value in options.items()])
        health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
        port = server.add_insecure_port("127.0.0.1:0")
        lane = Lane(server, handlers, pump, died.set)
        lane.start()
        try:
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield LaneServer(server, lane, pump, port, died), channel
        finally:
            stopped = server.stop(0)
            assert died.is_set() or stopped.wait(LIMIT_S), "the server did not stop"


def method(channel: grpc.Channel, path: str) -> "grpc.UnaryUnaryMultiCallable[bytes, bytes]":
    """A unary call of bytes."""
    made: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
    return made
