"""What becomes of a batch that failed, and when the next one may be sent."""

from enum import Enum, auto

from ortolan_client._errors import (
    Cancelled,
    DeadlineExceeded,
    InvalidInput,
    MessageTooLarge,
    OrtolanClientError,
    Overloaded,
    ServerError,
    Unavailable,
)

__all__ = ["Fate", "Pause", "fate"]

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 2.0
_SERVER_ERRORS, _DEADLINES, _REFUSALS = 3, 2, 4
"""How often a batch may meet one before the batch itself is taken for the cause."""


class Fate(Enum):
    """What becomes of a batch that failed."""

    RETRY = auto()
    """The server is the cause: the same again, later."""
    SPLIT = auto()
    """One of its rows is the cause, or all of them together: again in halves; of a single row it is the result."""
    GIVE_UP = auto()
    """No batch would do better."""


def fate(error: OrtolanClientError, failures: int, rows: int) -> Fate:
    """Of a batch of so many rows that failed `failures` times, this time included."""
    match error:
        case InvalidInput() | MessageTooLarge():
            return Fate.SPLIT
        case ServerError():
            return Fate.RETRY if failures < _SERVER_ERRORS else Fate.SPLIT
        case DeadlineExceeded():
            return Fate.RETRY if failures < _DEADLINES else Fate.SPLIT
        case Overloaded():
            # A batch may be over a bound of bytes all by itself; a row is what the server said it would take later.
            return Fate.RETRY if failures < _REFUSALS or rows == 1 else Fate.SPLIT
        case Unavailable() | Cancelled():
            return Fate.RETRY
        case _:
            return Fate.GIVE_UP


class Pause:
    """How long nothing is sent after failures of the server: longer each time, until a call is answered again.

    Reads no clock: times are arguments, in seconds. `spread`, in [0, 1), comes from the caller's dice: clients that
    failed together do not come back together.
    """

    def __init__(self, retry_for_s: float) -> None:
        self.until_s = float("-inf")
        self._retry_for_s = retry_for_s
        self._since_s: float | None = None
        self._begun_s = float("-inf")
        self._times = 0

    def failed(self, sent_s: float, now_s: float, spread: float) -> bool:
        """A call that was sent then failed. False when there was no answer for `retry_for_s`: nobody should wait more.

        Calls that were under way together fail together, and lengthen the pause once.
        """
        if self._since_s is None:
            self._since_s = now_s
        if sent_s >= self._begun_s:
            self._begun_s = now_s
            pause_s = min(_FIRST_PAUSE_S * 2**self._times, _LONGEST_PAUSE_S)
            self.until_s = now_s + pause_s * (0.5 + spread / 2)
            self._times += 1
        return now_s - self._since_s <= self._retry_for_s

    def answered(self) -> None:
        self._since_s = None
        self._times = 0
