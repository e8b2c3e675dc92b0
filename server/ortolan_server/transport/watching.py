"""WatchAssignments: many open streams, no thread for those that have nothing to say."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import grpc

from ortolan.v1 import provider_reflection_pb2 as pb
from ortolan_server.errors import OrtolanError, Overloaded, ServerStopping
from ortolan_server.services.reflection import ReflectionService
from ortolan_server.transport.messages import MessageReader
from ortolan_server.transport.status import domain_error, status_of

__all__ = ["WatchAssignments"]

Send = Callable[[pb.WatchAssignmentsResponse | None], None]
# Events that one watcher has not taken yet: whoever is further behind has to come again.
_BACKLOG = 4096
_MOST_WATCHERS = 4096


class WatchAssignments:
    """A behaviour of gRPC's non-blocking kind, as its own health service uses it.

    It returns at once, and `send` may be called from any thread later. `send` waits for the wire, so each watcher
    has at most one thread of the pool, and only while there is something to send.
    """

    experimental_non_blocking = True

    def __init__(self, service: ReflectionService, senders: ThreadPoolExecutor, max_message_bytes: int) -> None:
        self._service = service
        self._senders = senders
        self._read = MessageReader(pb.WatchAssignmentsRequest, max_message_bytes)
        self._watchers: set[_Watcher] = set()
        self._lock = threading.Lock()

    def __call__(self, data: bytes, context: grpc.ServicerContext, send: Send) -> None:
        watcher = _Watcher(context, send, self._senders)
        if len(self._watchers) >= _MOST_WATCHERS:
            watcher.end(Overloaded(f"{_MOST_WATCHERS} watches are open, the most this server takes"))
            return
        try:
            leave = self._service.watch_assignments(self._read(data), watcher.push)
        except Exception as error:  # noqa: BLE001 - the table knows them all
            watcher.end(domain_error(error))
            return
        with self._lock:
            self._watchers.add(watcher)

        def left() -> None:
            leave()
            with self._lock:
                self._watchers.discard(watcher)

        if not context.add_callback(left):
            left()

    def drain(self) -> None:
        """Ends every watch, telling why."""
        with self._lock:
            watchers = list(self._watchers)
        for watcher in watchers:
            watcher.end(ServerStopping("the server is stopping: watch again elsewhere"))


class _Watcher:
    """Sends events in order, one at a time."""

    def __init__(self, context: grpc.ServicerContext, send: Send, senders: ThreadPoolExecutor) -> None:
        self._context = context
        self._send = send
        self._senders = senders
        self._events: deque[pb.WatchAssignmentsResponse | OrtolanError] = deque()
        self._lock = threading.Lock()
        self._sending = False
        self._over = False

    def push(self, event: pb.WatchAssignmentsResponse) -> None:
        """Never waits."""
        if len(self._events) >= _BACKLOG:
            self.end(Overloaded(f"the watcher is {_BACKLOG} events behind: watch again"))
        else:
            self._put(event)

    def end(self, error: OrtolanError) -> None:
        self._put(error)

    def _put(self, event: pb.WatchAssignmentsResponse | OrtolanError) -> None:
        with self._lock:
            if self._over:
                return
            self._over = isinstance(event, OrtolanError)
            self._events.append(event)
            if self._sending:
                return
            self._sending = True
        self._senders.submit(self._work)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._events:
                    self._sending = False
                    return
                event = self._events.popleft()
            if isinstance(event, OrtolanError):
                code, details = status_of(event)
                self._context.set_code(code)
                self._context.set_details(details)
                self._send(None)
            else:
                self._send(event)
