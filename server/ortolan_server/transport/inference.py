"""ModelInfer and ModelStreamInfer over gRPC's public server."""

import math
import threading
import time
from collections import deque
from collections.abc import Iterator
from functools import partial
from queue import SimpleQueue

import grpc

from ortolan_server.codec import stream_answer, stream_error
from ortolan_server.engine.call import Ticket
from ortolan_server.engine.statistics import Statistics
from ortolan_server.errors import OrtolanError, ServerStopping
from ortolan_server.services.inference import InferenceService
from ortolan_server.transport.messages import InferRequestReader
from ortolan_server.transport.pools import ByteBudget, CallPool
from ortolan_server.transport.slots import STREAM_WINDOW, Outcome, Slot, ends_stream, wants_real_status
from ortolan_server.transport.status import abort, domain_error

__all__ = ["StreamInfer", "UnaryInfer"]

# gRPC shows a call without a deadline as one that has some hundred years left.
_NO_DEADLINE_S = 1e9


class UnaryInfer:
    """One call on one thread of its pool, which waits for the engine."""

    def __init__(
        self, service: InferenceService, threads: CallPool, budget: ByteBudget, max_message_bytes: int
    ) -> None:
        self.experimental_thread_pool = threads  # gRPC looks for this name
        self._service = service
        self._budget = budget
        self._read = InferRequestReader(max_message_bytes)

    def __call__(self, data: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            self._budget.take(len(data))
            try:
                outcome = self._infer(data, context)
            finally:
                self._budget.give_back(len(data))
        except Exception as error:  # noqa: BLE001 - the table knows them all
            failure = domain_error(error)
            self._service.rejections.add(failure)
            abort(context, failure)
        if isinstance(outcome, Exception):
            abort(context, outcome)
        return outcome

    def _infer(self, data: bytes, context: grpc.ServicerContext) -> Outcome:
        answer = _Answer()
        answer.ticket = self._service.infer(self._read(data), _deadline(context), answer)
        if not context.add_callback(answer.ended):
            answer.ended()
        return answer.wait()


class _Answer:
    """What becomes of one unary call."""

    def __init__(self) -> None:
        self.ticket: Ticket
        self._outcomes: SimpleQueue[tuple[Outcome, Statistics | None]] = SimpleQueue()
        self._sending: tuple[Statistics, float] | None = None

    def __call__(self, outcome: Outcome, statistics: Statistics | None = None, /) -> None:
        self._outcomes.put((outcome, statistics))

    def wait(self) -> Outcome:
        """What gRPC is given now."""
        outcome, statistics = self._outcomes.get()
        if statistics is not None:
            self._sending = (statistics, time.monotonic())
        return outcome

    def ended(self) -> None:
        """The response has left, or the caller."""
        self.ticket.cancel()
        if self._sending is not None:
            statistics, started_s = self._sending
            statistics.record_send(time.monotonic() - started_s)


class StreamInfer:
    """Streams of calls: answers in request order, errors in-band, two threads for each open stream."""

    def __init__(
        self, service: InferenceService, threads: CallPool, budget: ByteBudget, max_message_bytes: int
    ) -> None:
        self.experimental_thread_pool = threads  # gRPC looks for this name
        self._service = service
        self._budget = budget
        self._read = InferRequestReader(max_message_bytes)
        self._open: set[_Stream] = set()
        self._lock = threading.Lock()
        self._stopping = False

    def __call__(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        stream = _Stream()
        with self._lock:
            if self._stopping:
                abort(context, ServerStopping("the server is stopping"))
            self._open.add(stream)
        context.add_callback(stream.cancel)
        deadline_s = _deadline(context)
        threading.Thread(
            target=self._take, args=(messages, stream, deadline_s), name="stream-reader", daemon=True
        ).start()
        try:
            yield from self._answer(stream, context, deadline_s)
        finally:
            stream.cancel()
            with self._lock:
                self._open.discard(stream)

    def drain(self) -> None:
        """Takes nothing new; streams end when what they took is answered."""
        with self._lock:
            self._stopping = True
            for stream in self._open:
                stream.end(ServerStopping("the server is stopping: open the stream again elsewhere"))

    def _take(self, messages: Iterator[bytes], stream: "_Stream", deadline_s: float) -> None:
        """Reads requests and hands them to the engine until the client or the server ends the stream."""
        try:
            for data in messages:
                slot = stream.reserve()
                if slot is None:
                    return
                self._submit(data, slot, deadline_s)
        except Exception:  # noqa: BLE001 - gRPC's way to say that the client left
            stream.cancel()
        else:
            stream.end(None)

    def _submit(self, data: bytes, slot: Slot, deadline_s: float) -> None:
        try:
            self._budget.take(len(data))
            slot.release = partial(self._budget.give_back, len(data))
            request = self._read(data)
            slot.request_id = request.message.id
            slot.follow(self._service.infer(request, deadline_s, slot.fill))
        except Exception as error:  # noqa: BLE001 - in-band, whatever it is
            failure = domain_error(error)
            self._service.rejections.add(failure)
            slot.fill(failure)

    def _answer(self, stream: "_Stream", context: grpc.ServicerContext, deadline_s: float) -> Iterator[bytes]:
        real_status = wants_real_status(context.invocation_metadata())
        for slot in stream.answered():
            outcome = slot.outcome
            if isinstance(outcome, bytes):
                started_s = time.monotonic()
                yield stream_answer(outcome)
                if slot.statistics is not None:
                    # gRPC asks for the next one when this one has left.
                    slot.statistics.record_send(time.monotonic() - started_s)
            elif outcome is not None:
                if ends_stream(outcome, overdue=time.monotonic() >= deadline_s, real_status=real_status):
                    abort(context, outcome)
                yield stream_error(slot.request_id, str(outcome) or type(outcome).__name__)
        if stream.ending is not None:
            abort(context, stream.ending)


class _Stream:
    """Slots in request order between the thread that reads and the one that answers."""

    def __init__(self) -> None:
        self._slots: deque[Slot] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self.ending: OrtolanError | None = None
        """Why the server ended it; None when the client did."""

    def reserve(self) -> Slot | None:
        """The next place, once there is one; None when the stream takes no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or len(self._slots) < STREAM_WINDOW)
            if self._ended:
                return None
            slot = Slot(self._wake)
            self._slots.append(slot)
            return slot

    def answered(self) -> Iterator[Slot]:
        """Slots in order, each once it is filled, until the stream has ended."""
        while True:
            with self._changed:
                self._changed.wait_for(self._has_news)
                if not self._slots:
                    return
                slot = self._slots.popleft()
                self._changed.notify_all()
            yield slot

    def end(self, ending: OrtolanError | None) -> None:
        """Nothing more is taken; what was taken is answered."""
        with self._changed:
            if not self._ended:
                self._ended = True
                self.ending = ending
            self._changed.notify_all()

    def cancel(self) -> None:
        """Nobody waits for answers any more."""
        with self._changed:
            self._ended = True
            waiting = list(self._slots)
            self._slots.clear()
            self._changed.notify_all()
        for slot in waiting:
            slot.cancel()

    def _has_news(self) -> bool:
        return self._slots[0].outcome is not None if self._slots else self._ended

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


def _deadline(context: grpc.ServicerContext) -> float:
    """The call's deadline on the clock of `time.monotonic()`; infinite without one."""
    remaining = context.time_remaining()
    return math.inf if remaining > _NO_DEADLINE_S else time.monotonic() + remaining
