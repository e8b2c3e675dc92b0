"""The access log of the lane."""

import time
from typing import Any

import grpc

from ortolan_server.codec import read_names
from ortolan_server.telemetry.access import AccessLog, CallRecord
from ortolan_server.transport.lane.core import CoreCall, Handler, Metadata
from ortolan_server.transport.routes import MODEL_INFER

__all__ = ["LoggedCall"]

_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}


class LoggedCall(CoreCall):
    """A call that leaves its traces in a record, and puts it into the log at its end."""

    __slots__ = ("_access", "record")

    def __init__(self, access: AccessLog, event: Any, handler: Handler) -> None:  # noqa: ANN401 - the core has no types
        super().__init__(event, handler)
        self._access = access
        method = event.call_details.method.decode()
        self.record = CallRecord(method, self.peer)

    def _on_received(self, event: Any) -> bool:  # noqa: ANN401
        data = event.batch_operations[0].message()
        if data is not None:
            self.record.received(len(data))
            if self.record.method == MODEL_INFER:
                self.record.model, self.record.request_id = read_names(data)
        return super()._on_received(event)

    def send(self, data: bytes) -> None:
        self.record.sent(len(data))
        super().send(data)

    def answer(self, data: bytes) -> None:
        if not self.record.code:
            self.record.sent(len(data))
        self.record.answered()
        super().answer(data)

    def finish(self, code: int = 0, details: str = "", trailing: Metadata = ()) -> None:
        self.record.answered(_NAMES[code])
        super().finish(code, details, trailing)

    def _on_closed(self, event: Any) -> bool:  # noqa: ANN401
        if event.batch_operations[0].cancelled():
            self.record.left()
        return super()._on_closed(event)

    def _on_finished_and_closed(self, event: Any) -> bool:  # noqa: ANN401
        if event.batch_operations[0].cancelled():
            self.record.left_unread()
        return super()._on_finished_and_closed(event)

    def end(self) -> None:
        super().end()
        self.record.end(left_s=self.deadline_s - time.monotonic())
        self._access.put(self.record)
