"""A call inside the engine, which is also its ticket, and the calls that run together."""

import math
from collections.abc import Callable, Hashable
from enum import Enum, auto

from ortolan_backends.runtime.session import RunHandle
from ortolan_server.engine.call import InferenceCall, Reply
from ortolan_server.engine.pace import SizePace
from ortolan_server.engine.serving import Serving
from ortolan_server.errors import OrtolanError

__all__ = ["Batch", "Entry", "State"]


class State(Enum):
    """WAITING → RUNNING → ENDED, or WAITING → ENDED. Who moves a call to ENDED answers it.

    RUNNING → WAITING when the device under its run failed, and another session will take it.
    """

    WAITING = auto()
    RUNNING = auto()
    ENDED = auto()


class Entry:
    """Everything but `cancel()` belongs to the engine and is used under its lock."""

    __slots__ = (
        "_cancel",
        "arrived_s",
        "batch",
        "bucket",
        "call",
        "cause",
        "deadline_s",
        "expected_s",
        "on_pump",
        "pace",
        "reply",
        "rows",
        "runs_on_pump",
        "size_bytes",
        "state",
    )

    def __init__(self, call: InferenceCall, reply: Reply, arrived_s: float, cancel: "Callable[[Entry], None]") -> None:
        self.call = call
        self.reply = reply
        self.deadline_s = call.deadline_s
        self.rows = call.rows
        self.arrived_s = arrived_s
        self.state = State.WAITING
        self.runs_on_pump = False
        self.cause: OrtolanError | None = None
        """Why nobody waits for its run any more; None: somebody does."""
        self._cancel = cancel
        self.size_bytes: int
        self.pace: SizePace
        self.on_pump: bool
        """A pump may run it: only with calls of which that is true."""
        self.bucket: Hashable
        """The same for those that may be joined with it."""
        self.expected_s: float
        """Its share of the time that the queue will take, as far as known."""
        self.batch: Batch | None = None
        """While it runs. No longer: they refer to each other, and all that a call holds would wait for the garbage
        collector."""

    def cancel(self) -> None:
        self._cancel(self)


class Batch:
    """Calls in one run. Under the engine's lock, its constructor included."""

    __slots__ = (
        "_callers",
        "abandoned",
        "entries",
        "handle",
        "holds_slot",
        "overran",
        "parent",
        "rows",
        "serving",
        "started_s",
        "stopped_s",
        "told",
    )

    def __init__(self, entries: list[Entry], *, holds_slot: bool, parent: "Batch | None" = None) -> None:
        """`holds_slot`: it counts as one of the workers' runs. `parent` is the one that failed, of which this is a call
        that is run by itself.
        """
        self.entries = entries
        self.holds_slot = holds_slot
        self.handle = RunHandle()
        self.rows = 0
        self.serving: Serving
        """What it runs on."""
        self.started_s = math.inf
        self.told = False
        """Was it reported to take long?"""
        self.overran = ""
        """Why it was told to stop, if it took too long."""
        self.stopped_s = math.inf
        """When it was told so."""
        self.abandoned = False
        """Nobody waits for it any more, nor for its thread: it hangs."""
        self.parent = parent
        self._callers = len(entries)
        for entry in entries:
            self.rows += entry.rows
            entry.state = State.RUNNING
            entry.batch = self

    def leave(self, entry: Entry, cause: OrtolanError) -> bool:
        """A caller left. True when others go on: the entry has then ENDED, and is to be answered now.

        Of the last the run is stopped, and the answer comes when it ends. The first cause stays.
        """
        if entry.state is not State.RUNNING or entry.cause is not None:
            return False
        entry.cause = cause
        self._callers -= 1
        if self._callers:
            entry.state = State.ENDED
            return True
        self.handle.terminate()
        return False

    def stop(self, cause: OrtolanError) -> None:
        """Stops the run for all."""
        for entry in self.entries:
            entry.cause = entry.cause or cause
        self.handle.terminate()
