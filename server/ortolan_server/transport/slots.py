"""What both lanes know of a stream: places of requests in its order, its window, and how it wants to hear of errors."""

from collections.abc import Callable, Iterable

from ortolan_server.engine.call import Ticket
from ortolan_server.engine.statistics import Statistics
from ortolan_server.errors import DeadlineExpired, OrtolanError

__all__ = ["STREAM_WINDOW", "Outcome", "Slot", "ends_stream", "wants_real_status"]

Outcome = bytes | OrtolanError
"""Bytes of a ModelInferResponse, or why there is none."""

STREAM_WINDOW = 64
"""Unanswered messages of one stream: above it the next one is not read, and flow control holds the client."""


class Slot:
    """The place of one request in its stream's order."""

    __slots__ = ("_cancelled", "_filled", "_ticket", "outcome", "release", "request_id", "statistics")

    def __init__(self, filled: Callable[[], None]) -> None:
        """`filled` is called once there is an outcome."""
        self._filled = filled
        self.request_id = ""
        self.outcome: Outcome | None = None
        self.statistics: Statistics | None = None
        """With a response: who is to know when it has left."""
        self.release: Callable[[], None] | None = None
        """Gives back what the request holds while it is unanswered."""
        self._ticket: Ticket | None = None
        self._cancelled = False

    def fill(self, outcome: Outcome, statistics: Statistics | None = None) -> None:
        self.statistics = statistics
        self.outcome = outcome
        if self.release is not None:
            self.release()
        self._filled()

    def follow(self, ticket: Ticket) -> None:
        self._ticket = ticket
        if self._cancelled:
            ticket.cancel()

    def cancel(self) -> None:
        self._cancelled = True
        if self._ticket is not None:
            self._ticket.cancel()


def wants_real_status(metadata: Iterable[tuple[str, str | bytes]]) -> bool:
    """Whether a failed message is to end the stream, as a plain gRPC error: Triton's `triton_grpc_error: true`."""
    return ("triton_grpc_error", "true") in metadata


def ends_stream(failure: OrtolanError, *, overdue: bool, real_status: bool) -> bool:
    """Whether a failed message ends its stream instead of being told in-band.

    A stream's deadline is one for all of it: when it has passed (`overdue`) the caller's own end comes at the same
    moment, and who looks first must not decide whether it reads as an answer.
    """
    return real_status or (overdue and isinstance(failure, DeadlineExpired))
