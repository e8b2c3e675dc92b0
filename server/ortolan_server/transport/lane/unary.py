"""ModelInfer on the lane."""

import time

import grpc

from ortolan_server.engine.statistics import Statistics
from ortolan_server.errors import OrtolanError, Overloaded
from ortolan_server.transport.lane.core import CoreCall
from ortolan_server.transport.lane.pump import LanePump
from ortolan_server.transport.lane.shared import LaneShared, goes_aside
from ortolan_server.transport.messages import InferRequestReader
from ortolan_server.transport.pools import ByteBudget
from ortolan_server.transport.status import domain_error, status_of

__all__ = ["UnaryLane", "refuse"]

_Sending = tuple[Statistics, float]
"""Who is to know when an answer has left, and since when it is on its way."""


class UnaryLane:
    """A handler: one message in, one out. Shared by all its calls."""

    def __init__(self, shared: LaneShared, *, max_in_flight: int) -> None:
        self._service = shared.service
        self._pump = shared.pump
        self._aside = shared.aside
        self._budget = shared.budget
        self._max_in_flight = max_in_flight
        self._in_flight = 0
        self._read = InferRequestReader(shared.max_message_bytes)

    def opened(self, call: CoreCall) -> None:
        self._in_flight += 1
        if self._in_flight > self._max_in_flight:
            self._reject(
                call,
                Overloaded(
                    f"{self._max_in_flight} inferences are in flight, the most this server takes "
                    "(ortolan serve --max-in-flight)"
                ),
            )
            return
        call.receive()

    def received(self, call: CoreCall, data: bytes | None) -> None:
        if data is None:
            call.finish(grpc.StatusCode.UNIMPLEMENTED.value[0], "ModelInfer requires exactly one request message")
            return
        try:
            self._budget.take(len(data))
        except Overloaded as error:
            self._reject(call, error)
            return
        if goes_aside(data):
            self._aside.submit(self._infer, call, data, None)
        else:
            self._infer(call, data, self._pump)

    def _infer(self, call: CoreCall, data: bytes, pump: LanePump | None) -> None:
        done = _Done(call, self._budget, len(data))
        try:
            ticket = self._service.infer(self._read(data), call.deadline_s, done, pump)
        except Exception as error:  # noqa: BLE001 - the table knows them all
            failure = domain_error(error)
            self._service.rejections.add(failure)
            done(failure)
            return
        if not ticket.runs_on_pump:
            call.state = ticket
            call.watch()

    def _reject(self, call: CoreCall, error: OrtolanError) -> None:
        self._service.rejections.add(error)
        refuse(call, error)

    @property
    def in_flight(self) -> int:
        """Calls that are not over."""
        return self._in_flight

    def sent(self, call: CoreCall) -> None:
        """Unary calls send no message apart from their answer."""

    def closed(self, call: CoreCall) -> None:
        if call.state is not None:
            call.state.cancel()

    def ended(self, call: CoreCall) -> None:
        self._in_flight -= 1
        sending: _Sending | None = call.sending
        if sending is not None:
            statistics, started_s = sending
            statistics.record_send(time.monotonic() - started_s)


class _Done:
    """The service's answer to one call, from any thread."""

    __slots__ = ("_budget", "_call", "_size")

    def __init__(self, call: CoreCall, budget: ByteBudget, size: int) -> None:
        self._call = call
        self._budget = budget
        self._size = size

    def __call__(self, outcome: bytes | OrtolanError, statistics: Statistics | None = None, /) -> None:
        self._budget.give_back(self._size)
        if isinstance(outcome, bytes):
            if statistics is not None:
                self._call.sending = (statistics, time.monotonic())
            self._call.answer(outcome)
        else:
            refuse(self._call, outcome)


def refuse(call: CoreCall, error: OrtolanError) -> None:
    """Ends a call with the error's status."""
    code, details = status_of(error)
    call.finish(code.value[0], details)
