"""Tries the lane with the grpcio that is installed, before a server relies on it."""

import threading
from concurrent.futures import ThreadPoolExecutor

import grpc

from ortolan_server.transport.lane.core import CoreCall, Lane
from ortolan_server.transport.lane.pump import LanePump

__all__ = ["LaneUnusable", "try_lane"]

_LIMIT_S = 5.0
_ECHO = "/ortolan.lane/Echo"
_HOLD = "/ortolan.lane/Hold"
_WORD = b"through the lane"


class LaneUnusable(Exception):
    """What went wrong; the public server has to do."""


class _Echo:
    """Answers with what came, or keeps the call until it is told to."""

    def __init__(self, *, hold: bool) -> None:
        self._hold = hold
        self.held: CoreCall | None = None
        self.came = threading.Event()
        self.ended_calls = 0

    def opened(self, call: CoreCall) -> None:
        call.receive()

    def received(self, call: CoreCall, data: bytes | None) -> None:
        self.held = call
        self.came.set()
        if not self._hold:
            call.answer(data or b"")

    def sent(self, call: CoreCall) -> None:
        """Nothing is sent apart from the answer."""

    def closed(self, call: CoreCall) -> None:
        """Nobody leaves."""

    def ended(self, call: CoreCall) -> None:  # noqa: ARG002
        self.ended_calls += 1


def try_lane() -> None:
    """A call through the lane, a call beside it, and a stop that waits for a call in flight, on a server of its own.

    Takes some 20 ms. Raises LaneUnusable.
    """
    try:
        _try_lane()
    except LaneUnusable:
        raise
    except Exception as error:
        raise LaneUnusable(f"{type(error).__name__}: {error}") from error


def _try_lane() -> None:
    died = threading.Event()
    echo, hold = _Echo(hold=False), _Echo(hold=True)
    pool = ThreadPoolExecutor(1)
    server = grpc.server(pool)
    port = server.add_insecure_port("127.0.0.1:0")
    Lane(server, {_ECHO: echo, _HOLD: hold}, LanePump(), died.set).start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.enable_http_proxy", 0)]) as channel:
            _call(channel, echo)
            _call_beside(channel)
            _stop_while_one_is_held(channel, server, hold)
    finally:
        server.stop(0)
        pool.shutdown(wait=False)
    _require(not died.is_set(), "its loop died")
    _require(echo.ended_calls == hold.ended_calls == 1, "a call that was answered did not end")


def _call(channel: grpc.Channel, echo: _Echo) -> None:
    answer = _method(channel, _ECHO)(_WORD, timeout=_LIMIT_S)
    _require(echo.came.is_set() and answer == _WORD, "a call did not go through it")


def _call_beside(channel: grpc.Channel) -> None:
    try:
        _method(channel, "/ortolan.lane/Unknown")(_WORD, timeout=_LIMIT_S)
    except grpc.RpcError as error:
        _require(error.code() is grpc.StatusCode.UNIMPLEMENTED, f"a call beside it ended with {error.code()}")


def _stop_while_one_is_held(channel: grpc.Channel, server: grpc.Server, hold: _Echo) -> None:
    answer = _method(channel, _HOLD).future(_WORD, timeout=_LIMIT_S)
    _require(hold.came.wait(_LIMIT_S) and hold.held is not None, "a call did not come")
    stopped = server.stop(_LIMIT_S)
    _require(not stopped.is_set(), "a stop did not wait for a call in flight")
    if hold.held is not None:
        hold.held.answer(_WORD)
    _require(answer.result(_LIMIT_S) == _WORD, "the answer to a call in flight was lost at the stop")
    _require(stopped.wait(_LIMIT_S), "a stop did not end")


def _method(channel: grpc.Channel, path: str) -> "grpc.UnaryUnaryMultiCallable[bytes, bytes]":
    method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
    return method


def _require(holds: bool, otherwise: str) -> None:  # noqa: FBT001
    if not holds:
        raise LaneUnusable(otherwise)
