"""The memory that sessions are opened within: taken before one opens, given back when it is gone."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from ortolan_backends.errors import OpenRefused
from ortolan_server.units import size_text

__all__ = ["HOST", "Amount", "Budget", "Hold", "Holder"]

HOST = "host"
_FLAGS = {HOST: "--memory-limit"}
_FLAG_OF_DEVICES = "--device-memory-limit"


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose session it is."""

    model: str
    version: str
    purpose: str
    """E.g. `rung 1 (cuda)`."""

    def __str__(self) -> str:
        return f"{self.model}/{self.version} {self.purpose}" if self.model else self.purpose


@dataclass(frozen=True, slots=True)
class Amount:
    """Of one memory."""

    memory: str
    """`host`, or a device, e.g. `gpu:0`."""
    bytes: int
    there_bytes: int = 0
    """What the device has; 0: not known."""


@dataclass(frozen=True, slots=True)
class Hold:
    """What one session has taken."""

    holder: Holder
    amounts: tuple[Amount, ...]


class Budget:
    """One bound for the host and one for each device. Any thread.

    What is counted are estimates, so that the answer is the same each time: see `need.py`.
    """

    def __init__(self, host_bytes: int = 0, device_bytes: int = 0) -> None:
        """0: no bound, but what a device has."""
        self._device_bytes = device_bytes
        self._limits = {HOST: host_bytes} if host_bytes else {}
        self._holds: dict[int, Hold] = {}
        self._numbers = count(1)
        # Sessions may be let go by the garbage collector, on a thread that is in here.
        self._lock = threading.RLock()

    def take(self, holder: Holder, amounts: Sequence[Amount]) -> int:
        """Takes all of it or nothing. Returns what it is given back by.

        Raises OpenRefused, which says what is wanted, the bound, and who has what.
        """
        with self._lock:
            for amount in amounts:
                self._learn(amount)
            if faults := [fault for amount in amounts if (fault := self._fault(amount))]:
                raise OpenRefused("; ".join(faults), stage="memory")
            number = next(self._numbers)
            self._holds[number] = Hold(holder, tuple(amounts))
            return number

    def give_back(self, number: int) -> None:
        """More than once is as once."""
        with self._lock:
            self._holds.pop(number, None)

    @property
    def holds(self) -> tuple[Hold, ...]:
        """The oldest first."""
        with self._lock:
            return tuple(self._holds.values())

    @property
    def limits(self) -> Mapping[str, int]:
        """Bytes by memory: of the host, and of each device that was asked for. One without a bound is left out."""
        with self._lock:
            return dict(self._limits)

    def _learn(self, amount: Amount) -> None:
        bounds = [bound for bound in (self._device_bytes, amount.there_bytes) if bound]
        if amount.memory != HOST and bounds:
            self._limits[amount.memory] = min(bounds)

    def _fault(self, amount: Amount) -> str:
        """Why there is not so much left; empty: there is."""
        limit = self._limits.get(amount.memory)
        taken = dict(self._taken(amount.memory))
        if limit is None or amount.bytes + sum(taken.values()) <= limit:
            return ""
        most = sorted(taken.items(), key=lambda each: -each[1])
        who = ": " + ", ".join(f"{holder} {size_text(size)}" for holder, size in most) if most else ""
        return (
            f"it needs {size_text(amount.bytes)} of {amount.memory} memory, and {size_text(sum(taken.values()))} of "
            f"{size_text(limit)} are taken{who} ({_FLAGS.get(amount.memory, _FLAG_OF_DEVICES)})"
        )

    def _taken(self, memory: str) -> Iterator[tuple[Holder, int]]:
        sums: dict[Holder, int] = {}
        for hold in self._holds.values():
            for amount in hold.amounts:
                if amount.memory == memory:
                    sums[hold.holder] = sums.get(hold.holder, 0) + amount.bytes
        yield from sums.items()
