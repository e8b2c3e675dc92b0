"""Whether a bad request got the answer of its row, and whether the server took it as such."""

import re

from tests.conformance.sending import BadRequest
from tests.conformance.wire import Wire
from tests.serving import RunningServer

__all__ = ["answer_fault", "log_faults"]

# Written for models that cannot be loaded, which is what was asked for.
_EXPECTED_ERRORS = {"model_failed", "model_unusable"}


def answer_fault(row: BadRequest, wire: Wire) -> str:
    """Sends the request; what is wrong with its answer, or with the right request after it. Empty: nothing."""
    try:
        answer = row.send(wire)
        wire.check_right_answer()
    except Exception as error:  # noqa: BLE001 - whatever went wrong is the finding
        return f"{type(error).__name__}: {error}"
    if answer.code == row.code and re.search(row.message, answer.text, re.DOTALL):
        return ""
    return f"{answer.code} {answer.text[:300]!r} came; wanted {row.code} with {row.message!r}"


def log_faults(server: RunningServer) -> list[str]:
    """Events that tell of a fault of the server's own: errors, and exceptions that nobody expected."""
    return [
        str(event)
        for event in server.events
        if (event.get("level") in {"error", "critical"} and event["event"] not in _EXPECTED_ERRORS)
        or "exception" in event
        or "Traceback" in str(event.get("text", ""))
    ]
