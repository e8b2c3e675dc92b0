"""ModelStreamInfer on the lane: answers in request order, errors in-band, no thread for an open stream."""

import threading
import time
from collections import deque
from functools import partial

from ortolan_server.codec import stream_answer, stream_error
from ortolan_server.engine.statistics import Statistics
from ortolan_server.errors import CallCancelled, OrtolanError, Overloaded, ServerStopping
from ortolan_server.transport.lane.core import CoreCall
from ortolan_server.transport.lane.pump import LanePump
from ortolan_server.transport.lane.shared import LaneShared, goes_aside
from ortolan_server.transport.lane.unary import refuse
from ortolan_server.transport.messages import InferRequestReader
from ortolan_server.transport.slots import STREAM_WINDOW, Outcome, Slot, ends_stream, wants_real_status
from ortolan_server.transport.status import domain_error

__all__ = ["StreamLane"]


class StreamLane:
    """A handler; each call's `state` is its `_Stream`."""

    def __init__(self, shared: LaneShared, *, max_streams: int) -> None:
        self._service = shared.service
        self._pump = shared.pump
        self._aside = shared.aside
        self._budget = shared.budget
        self._max_streams = max_streams
        self._read = InferRequestReader(shared.max_message_bytes)
        self._open: set[_Stream] = set()
        self._stopping = False
        self._lock = threading.Lock()

    def opened(self, call: CoreCall) -> None:
        if len(self._open) >= self._max_streams:
            text = f"{self._max_streams} streams are open, the most this server takes (ortolan serve --max-streams)"
            error = Overloaded(text)
            self._service.rejections.add(error)
            refuse(call, error)
            return
        stream = call.state = _Stream(call)
        with self._lock:
            stopping = self._stopping
            self._open.add(stream)
        if stopping:
            stream.end(ServerStopping("the server is stopping"))
            return
        call.watch()
        call.receive()

    def received(self, call: CoreCall, data: bytes | None) -> None:
        stream: _Stream = call.state
        if data is None:
            stream.end(None)  # when the client left, too: that is heard of next
            return
        self._take(call, data, stream.reserve())
        stream.read_on()

    def _take(self, call: CoreCall, data: bytes, slot: Slot) -> None:
        try:
            self._budget.take(len(data))
        except Overloaded as error:
            self._service.rejections.add(error)
            slot.fill(error)
            return
        slot.release = partial(self._budget.give_back, len(data))
        if goes_aside(data):
            self._aside.submit(self._submit, call, data, slot, None)
        else:
            self._submit(call, data, slot, self._pump)

    def sent(self, call: CoreCall) -> None:
        call.state.sent()

    def closed(self, call: CoreCall) -> None:
        call.state.cancel()

    def ended(self, call: CoreCall) -> None:
        with self._lock:
            self._open.discard(call.state)

    @property
    def open(self) -> int:
        """Streams that are not over."""
        return len(self._open)

    def drain(self) -> None:
        """Takes nothing new; streams end when what they took is answered. From any thread."""
        with self._lock:
            self._stopping = True
            streams = list(self._open)
        for stream in streams:
            stream.end(ServerStopping("the server is stopping: open the stream again elsewhere"))

    def _submit(self, call: CoreCall, data: bytes, slot: Slot, pump: LanePump | None) -> None:
        try:
            request = self._read(data)
            slot.request_id = request.message.id
            slot.follow(self._service.infer(request, call.deadline_s, slot.fill, pump))
        except Exception as error:  # noqa: BLE001 - in-band, whatever it is
            failure = domain_error(error)
            self._service.rejections.add(failure)
            slot.fill(failure)


class _Stream:
    """Slots in request order. One message is on its way to the client at a time; the next follows when it has left.

    Operations of its call are started under the lock, and none after its status: the core would keep what they hold.
    """

    def __init__(self, call: CoreCall) -> None:
        self._call = call
        self._slots: deque[Slot] = deque()
        self._lock = threading.Lock()
        self._sending = False
        self._sent_for: Statistics | None = None
        self._sent_at_s = 0.0
        self._held = False
        self._over = False
        self._ended = False
        self._ending: OrtolanError | None = None
        self._real_status = wants_real_status(call.metadata)

    def reserve(self) -> Slot:
        slot = Slot(self._go_on)
        with self._lock:
            self._slots.append(slot)
        return slot

    def read_on(self) -> None:
        """Asks for the next message, at once or when there is room for it."""
        with self._lock:
            if self._ended:
                return
            self._held = len(self._slots) >= STREAM_WINDOW
            if not self._held:
                self._call.receive()

    def sent(self) -> None:
        if self._sent_for is not None:
            self._sent_for.record_send(time.monotonic() - self._sent_at_s)
        with self._lock:
            self._sending = False
        self._go_on()

    def end(self, ending: OrtolanError | None) -> None:
        """Nothing more is taken; what was taken is answered. `ending` says why, when the server wants it."""
        with self._lock:
            if not self._ended:
                self._ended, self._ending = True, ending
        self._go_on()

    def cancel(self) -> None:
        """Nobody waits for answers any more."""
        self._finish(CallCancelled("the caller left"))

    def _go_on(self) -> None:
        """Sends the next answer, if it is there; ends the stream after the last."""
        with self._lock:
            if self._sending or self._over:
                return
            if self._slots:
                outcome = self._slots[0].outcome
                if outcome is None:
                    return
                slot = self._slots.popleft()
                if self._held and not self._ended:
                    self._held = False
                    self._call.receive()
                if isinstance(outcome, bytes) or not self._ends(outcome):
                    self._send(slot, outcome)
                    return
                ending: OrtolanError | None = outcome
            elif self._ended:
                ending = self._ending
            else:
                return
        self._finish(ending)

    def _ends(self, failure: OrtolanError) -> bool:
        overdue = time.monotonic() >= self._call.deadline_s
        return ends_stream(failure, overdue=overdue, real_status=self._real_status)

    def _send(self, slot: Slot, outcome: Outcome) -> None:
        self._sending = True
        self._sent_for = slot.statistics
        self._sent_at_s = time.monotonic()
        if isinstance(outcome, bytes):
            self._call.send(stream_answer(outcome))
        else:
            self._call.send(stream_error(slot.request_id, str(outcome) or type(outcome).__name__))

    def _finish(self, error: OrtolanError | None) -> None:
        with self._lock:
            self._ended = self._over = True
            waiting = list(self._slots)
            self._slots.clear()
            if error is None:
                self._call.finish()
            else:
                refuse(self._call, error)
        for slot in waiting:
            slot.cancel()
