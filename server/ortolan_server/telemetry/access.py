"""The access log: one line for each call that has ended, written aside."""

import queue
import threading
import time
from dataclasses import dataclass, field

import structlog

from ortolan_server.deadlines import ran_out

__all__ = ["AccessLog", "CallRecord"]

log = structlog.get_logger()

# Lines that wait while whoever reads the log is slow; some 4 MB.
_BACKLOG = 8192
# How long the server's end may wait for a reader that takes nothing.
_STOP_S = 2.0
_OK = "OK"
_CANCELLED = "CANCELLED"
_EXPIRED = "DEADLINE_EXCEEDED"
_UNIMPLEMENTED = "UNIMPLEMENTED"


@dataclass(slots=True)
class CallRecord:
    """What is noted of one call while it lasts. One thread at a time."""

    method: str
    peer: str = ""
    """In gRPC's words: `ipv4:127.0.0.1:40414`."""
    model: str = ""
    request_id: str = ""
    code: str = ""
    """gRPC's name of the status that the server gave it; empty while it has given none."""
    duration_s: float = 0.0
    _requests: list[int] = field(default_factory=lambda: [0, 0])
    _responses: list[int] = field(default_factory=lambda: [0, 0])
    _started_s: float = field(default_factory=time.monotonic)

    def received(self, size: int) -> None:
        """One message of the client's, of so many bytes."""
        self._requests[0] += 1
        self._requests[1] += size

    def sent(self, size: int) -> None:
        """One message of the server's."""
        self._responses[0] += 1
        self._responses[1] += size

    def answered(self, code: str = _OK) -> None:
        """The server has ended the call; the first status counts."""
        self.code = self.code or code

    def left(self) -> None:
        """The client had left before it was told that all went well."""
        if self.code == _OK:
            self.code = _CANCELLED

    def left_unread(self) -> None:
        """The same, before it was told that it had sent no message: one that does not come looks like none."""
        if self.code == _UNIMPLEMENTED:
            self.code = _CANCELLED

    def end(self, *, left_s: float) -> None:
        """The call is over, `left_s` before its deadline: what the server has not ended, one of the two has."""
        self.duration_s = time.monotonic() - self._started_s
        self.code = self.code or _CANCELLED
        if self.code == _CANCELLED and ran_out(left_s, self.duration_s + left_s):
            self.code = _EXPIRED

    def fields(self) -> dict[str, object]:
        """The keys of its line, without those that it has nothing for."""
        named = {"peer": self.peer, "model": self.model, "request_id": self.request_id}
        return {
            "method": self.method,
            **{key: value for key, value in named.items() if value},
            "code": self.code,
            "duration_ms": round(self.duration_s * 1e3, 3),
            "request_messages": self._requests[0],
            "request_bytes": self._requests[1],
            "response_messages": self._responses[0],
            "response_bytes": self._responses[1],
        }


class AccessLog:
    """Takes records from the thread that answers calls, which must not wait for the log's reader: lines that find the
    backlog full are dropped and counted.
    """

    def __init__(self, backlog: int = _BACKLOG) -> None:
        self._records: queue.Queue[CallRecord | None] = queue.Queue(backlog)
        self._dropped = 0
        self._thread = threading.Thread(target=self._work, name="access-log", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, record: CallRecord) -> None:
        """Never waits. One thread at a time."""
        try:
            self._records.put_nowait(record)
        except queue.Full:
            self._dropped += 1

    def stop(self) -> None:
        """Writes what is there, unless nobody reads it."""
        try:
            self._records.put(None, timeout=_STOP_S)
        except queue.Full:
            return
        self._thread.join(_STOP_S)

    def _work(self) -> None:
        told = 0
        while (record := self._records.get()) is not None:
            log.info("call_ended", **record.fields())
            dropped = self._dropped
            if dropped != told:
                log.warning("access_lines_dropped", lines=dropped - told, text="the log's reader is too slow")
                told = dropped
