"""The only module that touches private names of grpcio: calls taken from the core's completion queue as they come.

`grpc.server()` answers a call through a thread, a future and a context, some 120 µs of Python. Below them is a
completion queue of the C core: operations are started on a call in batches, and each batch comes back as one event.
`Lane` runs a built `grpc.Server` with a loop of its own on that queue. Calls of its hot methods are handed to their
handlers there; everything else, the start and the draining included, goes through grpcio's own functions.

Names used: `_server._ServerState` (`completion_queue`, `server`, `stage`, `due`, `rpc_states`, `lock`,
`registered_method_handlers`, `server_deallocated`), `_request_call`, `_request_registered_call`,
`_process_event_and_continue`, `_stop_serving`, `_begin_shutdown_once`, and the operations of `_cython.cygrpc`.
`selftest.py` tries them before a server relies on them.
"""

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from types import MethodType
from typing import Any, Protocol

import structlog
from grpc import _server
from grpc._cython import cygrpc  # type: ignore[attr-defined]

__all__ = ["CoreCall", "Handler", "Lane", "Metadata", "Pump"]

log = structlog.get_logger()

Metadata = tuple[tuple[str, str | bytes], ...]

_REQUESTED = _server._REQUEST_CALL_TAG  # noqa: SLF001
_SHUTDOWN = _server._SHUTDOWN_TAG  # noqa: SLF001
_STARTED = _server._ServerStage.STARTED  # noqa: SLF001
_TIMED_OUT = cygrpc.CompletionType.queue_timeout
_OK = 0
_INTERNAL = 13
# Calls asked for before they come: the queue never runs dry between two events.
_AHEAD = 64
# How long the loop waits for an event before it looks whether the server still exists, as grpcio's own does.
_LOOK_S = 1.0
# A call without a deadline has one some hundred years ahead, in seconds since 1970.
_NO_DEADLINE_S = 1e10
_ONCE = {"greeting": True, "close": True, "status": True}


class Handler(Protocol):
    """Serves the calls of one method. Everything is called on the loop's thread, and must return soon."""

    def opened(self, call: "CoreCall") -> None:
        """A call came; nothing of it has been read."""
        ...

    def received(self, call: "CoreCall", data: bytes | None) -> None:
        """What `call.receive()` brought; None: the client sends no more, or the call is over."""
        ...

    def sent(self, call: "CoreCall") -> None:
        """What `call.send()` was given has left."""
        ...

    def closed(self, call: "CoreCall") -> None:
        """After `call.watch()`: the client left or the deadline passed before the call was answered."""
        ...

    def ended(self, call: "CoreCall") -> None:
        """The call is over, whatever came of it. The last thing heard of it."""
        ...


class Pump(Protocol):
    """Work that was put off until no event is ready."""

    @property
    def work(self) -> Collection[object]:
        """Empty: nothing is due."""
        ...

    def run(self) -> None:
        """Does all of it, on the loop's thread."""
        ...


class CoreCall:
    """One call. Operations may be started from any thread; after `answer()` or `finish()` there are none."""

    __slots__ = (
        "_closed",
        "_finished",
        "_handler",
        "_native",
        "_once",
        "_receiving",
        "deadline_s",
        "metadata",
        "sending",
        "state",
    )

    def __init__(self, event: Any, handler: Handler) -> None:  # noqa: ANN401 - the core has no types
        self._native = event.call
        self._handler = handler
        # What a call has once, for whoever needs it first: popping from a dict is atomic.
        self._once = _ONCE.copy()
        self._receiving = self._closed = self._finished = False
        self.metadata: Metadata = event.invocation_metadata
        deadline_s = event.call_details.deadline
        self.deadline_s = math.inf if deadline_s > _NO_DEADLINE_S else time.monotonic() + deadline_s - time.time()
        """On the clock of `time.monotonic()`; `math.inf`: none."""
        self.state: Any = None
        """The handler's own."""
        self.sending: Any = None
        """The same: of its answer, on the way."""

    @property
    def peer(self) -> str:
        """In gRPC's words: `ipv4:127.0.0.1:40414`. Asked of the core."""
        peer: bytes = self._native.peer()
        return peer.decode(errors="replace")

    def hand_over(self, handler: Handler) -> None:
        """From now on `handler` hears of the call."""
        self._handler = handler

    def receive(self) -> None:
        """Asks for the next message, of which one at a time may be asked for."""
        self._receiving = True
        self._native.start_server_batch((cygrpc.ReceiveMessageOperation(0),), self._on_received)

    def watch(self) -> None:
        """Asks to be told when the client leaves. Costs a batch: not for work that is answered at once."""
        if self._once.pop("close", False):
            self._native.start_server_batch((cygrpc.ReceiveCloseOnServerOperation(0),), self._on_closed)

    def send(self, data: bytes) -> None:
        """Sends one message of a stream, of which one at a time may be on its way."""
        message = cygrpc.SendMessageOperation(data, 0)
        if self._once.pop("greeting", False):
            self._native.start_server_batch((cygrpc.SendInitialMetadataOperation((), 0), message), self._on_sent)
        else:
            self._native.start_server_batch((message,), self._on_sent)

    def answer(self, data: bytes) -> None:
        """Sends the one message of a unary call, and status OK. Nothing, when the call has a status already."""
        once = self._once
        if not once.pop("status", False):
            return
        greeting = cygrpc.SendInitialMetadataOperation((), 0)
        message = cygrpc.SendMessageOperation(data, 0)
        status = cygrpc.SendStatusFromServerOperation((), _OK, b"", 0)
        if once.pop("close", False):
            close = cygrpc.ReceiveCloseOnServerOperation(0)
            self._native.start_server_batch((close, greeting, message, status), self._on_finished_and_closed)
        else:
            self._native.start_server_batch((greeting, message, status), self._on_finished)

    def finish(self, code: int = _OK, details: str = "", trailing: Metadata = ()) -> None:
        """Sends the status, and with it the end of the call. Nothing, when it has one already."""
        once = self._once
        if not once.pop("status", False):
            return
        operations = []
        ended = self._on_finished
        if once.pop("close", False):
            operations.append(cygrpc.ReceiveCloseOnServerOperation(0))
            ended = self._on_finished_and_closed
        if once.pop("greeting", False):
            operations.append(cygrpc.SendInitialMetadataOperation((), 0))
        operations.append(cygrpc.SendStatusFromServerOperation(trailing, code, details.encode(), 0))
        self._native.start_server_batch(tuple(operations), ended)

    # Events. Each returns whether the call is over.

    def _on_received(self, event: Any) -> bool:  # noqa: ANN401
        self._receiving = False
        if self._finished:
            return self._closed
        self._handler.received(self, event.batch_operations[0].message())
        return False  # its end is still to come

    def _on_sent(self, event: Any) -> bool:  # noqa: ANN401, ARG002
        self._handler.sent(self)
        return self.over

    def _on_closed(self, event: Any) -> bool:  # noqa: ANN401
        self._closed = True
        if event.batch_operations[0].cancelled():
            self._handler.closed(self)
        return self.over

    def _on_finished(self, event: Any) -> bool:  # noqa: ANN401, ARG002
        self._finished = True
        return self.over

    def _on_finished_and_closed(self, event: Any) -> bool:  # noqa: ANN401, ARG002
        self._finished = self._closed = True
        return not self._receiving

    @property
    def over(self) -> bool:
        """Nothing more will be heard of it."""
        return self._finished and self._closed and not self._receiving

    def end(self) -> None:
        """For the loop: the call is over."""
        self._handler.ended(self)
        # What a handler keeps there often refers to the call. The core counts a stream as open while its call lives,
        # and refuses others for it: that must not wait for the garbage collector.
        self.state = None

    def fail(self) -> None:
        """For the loop: its handler raised."""
        self.finish(_INTERNAL, "internal error")


class _Due(Counter[str]):
    """grpcio keeps what it has asked for in a set; several calls asked for ahead need to be counted."""

    def add(self, tag: str) -> None:
        self[tag] += 1

    def remove(self, tag: str) -> None:
        self[tag] -= 1
        if not self[tag]:
            del self[tag]


class Lane:
    """Runs a server that was built and bound, instead of `server.start()`. `server.stop()` works as ever."""

    def __init__(
        self,
        server: Any,  # noqa: ANN401
        handlers: Mapping[str, Handler],
        pump: Pump,
        died: Callable[[], None],
        calls: Callable[[Any, Handler], CoreCall] = CoreCall,
    ) -> None:
        """`handlers` by path. `died` is told when the loop ends by an error: no call will be answered any more.

        `calls` makes a call of the event that brought it.
        """
        self._core = server._state  # noqa: SLF001
        self._handlers = {path.encode(): handler for path, handler in handlers.items()}
        self._pump = pump
        self._died = died
        self._calls = calls
        self._open = 0

    @property
    def open_calls(self) -> int:
        """Calls of its handlers that are not over."""
        return self._open

    @property
    def calls_may_come(self) -> bool:
        """For a while after `server.stop()` too: the core has taken some that the loop has not come to yet."""
        with self._core.lock:
            return any(tag is not _SHUTDOWN for tag in self._core.due)

    def start(self) -> None:
        """Serves, on a thread of its own."""
        core = self._core
        with core.lock:
            core.server.start()
            core.stage = _STARTED
            core.due = _Due()
            for method in core.registered_method_handlers:
                _server._request_registered_call(core, method)  # noqa: SLF001
            for _ in range(_AHEAD):
                _server._request_call(core)  # noqa: SLF001
        threading.Thread(target=self._run, name="lane", daemon=True).start()

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except BaseException:
            log.exception("lane_died")
            self._died()
            raise

    def _turn(self) -> bool:
        """One event, or what was put off when none is ready. False when the server has stopped.

        The event is let go on return: one that refers to a call of a server that shuts down makes the queue spin.
        """
        core = self._core
        pump = self._pump
        event = core.completion_queue.poll(0.0 if pump.work else time.time() + _LOOK_S)
        tag = event.tag
        if type(tag) is MethodType:
            return self._operated(tag, event)
        if tag is _REQUESTED and event.success:
            handler = self._handlers.get(event.call_details.method)
            if handler is not None:
                return self._opened(handler, event)
        if event.completion_type != _TIMED_OUT:
            going_on: bool = _server._process_event_and_continue(core, event)  # noqa: SLF001
            return going_on
        if pump.work:
            pump.run()
        elif core.server_deallocated:
            _server._begin_shutdown_once(core)  # noqa: SLF001
        return True

    def _opened(self, handler: Handler, event: Any) -> bool:  # noqa: ANN401
        call = self._calls(event, handler)
        core = self._core
        with core.lock:
            self._open += 1
            core.rpc_states.add(call)  # what the server waits for when it stops
            if core.stage is _STARTED:
                # One came and one is asked for: as many are due as before.
                queue = core.completion_queue
                core.server.request_call(queue, queue, _REQUESTED)
            else:
                core.due.remove(_REQUESTED)
        try:
            handler.opened(call)
        except Exception:
            log.exception("lane_call_crashed")
            call.fail()
        return True

    def _operated(self, tag: Any, event: Any) -> bool:  # noqa: ANN401
        """An operation of a call has ended, and `tag` is the call's method that is to hear of it."""
        call: CoreCall = tag.__self__
        try:
            over = tag(event)
        except Exception:
            log.exception("lane_call_crashed")
            call.fail()
            over = call.over
        if not over:
            return True
        call.end()
        self._open -= 1
        core = self._core
        with core.lock:
            core.rpc_states.discard(call)
            return core.stage is _STARTED or not _server._stop_serving(core)  # noqa: SLF001
