"""The hook, before a handler of the lane."""

from ortolan_server.services.rejections import Rejections
from ortolan_server.transport.admission import CallInfo, Guard
from ortolan_server.transport.lane.core import CoreCall, Handler
from ortolan_server.transport.lane.unary import refuse
from ortolan_server.transport.status import domain_error

__all__ = ["Guarded"]


class Guarded:
    """A handler that asks a guard, and hands admitted calls over for good. Those it refuses stay with it."""

    def __init__(self, path: str, guard: Guard, inner: Handler, rejections: Rejections) -> None:
        self._path = path
        self._guard = guard
        self._inner = inner
        self._rejections = rejections

    def opened(self, call: CoreCall) -> None:
        try:
            self._guard.admit(CallInfo(self._path, call.metadata))
        except Exception as error:  # noqa: BLE001 - the table knows them all
            failure = domain_error(error)
            self._rejections.add(failure)
            refuse(call, failure)
            return
        call.hand_over(self._inner)
        self._inner.opened(call)

    def received(self, call: CoreCall, data: bytes | None) -> None:
        """Nothing is read of a call that is refused."""

    def sent(self, call: CoreCall) -> None:
        """It has no answer apart from its status."""

    def closed(self, call: CoreCall) -> None:
        """It has its status already."""

    def ended(self, call: CoreCall) -> None:
        """Nothing is held for it."""
