"""Records of calls, and a log whose reader is slow."""

import math
import threading
from collections.abc import MutableMapping
from typing import Any

import structlog
from structlog.testing import capture_logs

from ortolan_server.telemetry.access import AccessLog, CallRecord

LIMIT_S = 30.0


def test_a_record_says_what_it_has() -> None:
    record = CallRecord("/a/B", peer="unix:")
    record.received(3)
    record.received(4)
    record.sent(5)
    record.answered()
    record.end(left_s=math.inf)
    fields = record.fields()
    assert fields.pop("duration_ms") == round(record.duration_s * 1e3, 3)
    assert fields == {
        "method": "/a/B",
        "peer": "unix:",
        "code": "OK",
        "request_messages": 2,
        "request_bytes": 7,
        "response_messages": 1,
        "response_bytes": 5,
    }


def ended(*codes: str, left_s: float) -> str:
    record = CallRecord("/a/B")
    for code in codes:
        record.answered(code)
    record.end(left_s=left_s)
    return record.code


def test_the_first_status_counts() -> None:
    assert ended("NOT_FOUND", "OK", left_s=0.0) == "NOT_FOUND"
    assert ended("OK", left_s=0.0) == "OK"
    assert ended(left_s=10.0) == "CANCELLED"
    assert ended(left_s=0.0) == "DEADLINE_EXCEEDED"
    assert ended("CANCELLED", left_s=0.0) == "DEADLINE_EXCEEDED"


def test_who_left_was_told_nothing() -> None:
    codes = []
    for code in ("OK", "UNIMPLEMENTED", "NOT_FOUND"):
        for leave in (CallRecord.left, CallRecord.left_unread):
            record = CallRecord("/a/B")
            record.answered(code)
            leave(record)
            codes.append(record.code)
    assert codes == ["CANCELLED", "OK", "UNIMPLEMENTED", "CANCELLED", "NOT_FOUND", "NOT_FOUND"]


def test_all_that_was_put_is_written_by_the_end() -> None:
    access = AccessLog()
    with capture_logs() as lines:
        access.start()
        for number in range(100):
            access.put(CallRecord(str(number)))
        access.stop()
    assert [line["method"] for line in lines] == [str(number) for number in range(100)]
    assert {line["event"] for line in lines} == {"call_ended"}


def test_a_reader_that_takes_nothing_holds_nobody_and_is_told() -> None:
    goes_on, is_held = threading.Event(), threading.Event()
    lines: list[MutableMapping[str, Any]] = []

    def hold(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        lines.append(dict(event))
        is_held.set()
        goes_on.wait(LIMIT_S)
        raise structlog.DropEvent

    with capture_logs():  # which puts the present setting back at its end
        structlog.configure(processors=[hold])
        access = AccessLog(backlog=3)
        access.start()
        access.put(CallRecord("first"))
        assert is_held.wait(LIMIT_S)
        for number in range(10):
            access.put(CallRecord(str(number)))
        goes_on.set()
        access.stop()
    assert [line["method"] for line in lines if line["event"] == "call_ended"] == ["first", "0", "1", "2"]
    assert [line["lines"] for line in lines if line["event"] == "access_lines_dropped"] == [7]
