"""A call inside the engine, which is also its ticket."""

from collections.abc import Callable
from enum import Enum, auto

from ortolan_backends.runtime.session import RunHandle
from ortolan_server.engine.call import InferenceCall, Reply
from ortolan_server.errors import OrtolanError

__all__ = ["Entry", "State"]


class State(Enum):
    """WAITING → RUNNING → ENDED, or WAITING → ENDED."""

    WAITING = auto()
    RUNNING = auto()
    ENDED = auto()


class Entry:
    """Everything but `cancel()` belongs to the engine and is used under its lock."""

    __slots__ = ("_cancel", "call", "cause", "deadline_s", "handle", "reply", "state", "submitted_s")

    def __init__(
        self, call: InferenceCall, reply: Reply, submitted_s: float, cancel: "Callable[[Entry], None]"
    ) -> None:
        self.call = call
        self.reply = reply
        self.deadline_s = call.deadline_s
        self.submitted_s = submitted_s
        self.state = State.WAITING
        self.cause: OrtolanError | None = None
        """Why its run was stopped; None: it was not."""
        self.handle: RunHandle
        """From `start()` on."""
        self._cancel = cancel

    def cancel(self) -> None:
        self._cancel(self)

    def start(self) -> None:
        self.handle = RunHandle()
        self.state = State.RUNNING

    def terminate(self, cause: OrtolanError) -> None:
        """Stops the run, if there is one; the first cause stays."""
        if self.state is State.RUNNING and self.cause is None:
            self.cause = cause
            self.handle.terminate()
