"""The calls that wait, in buckets of those that may run together."""

from collections import deque
from collections.abc import Collection, Hashable, Iterator, Sequence
from itertools import chain

from ortolan_server.engine.entry import Entry

__all__ = ["Bucket", "Waiting"]


class Bucket(deque[Entry]):
    """Calls that may run together, in order of arrival."""

    __slots__ = ("rows",)

    def __init__(self) -> None:
        super().__init__()
        self.rows = 0
        """Of all of them."""


class Waiting:
    """Keeps the sums that admission asks for. Without a lock of its own."""

    def __init__(self) -> None:
        # By whether a pump may run them.
        self._buckets: dict[bool, dict[Hashable, Bucket]] = {True: {}, False: {}}
        self.calls = 0
        self.size_bytes = 0
        self.expected_s = 0.0
        """How long their runs will take one after the other, as far as known."""

    def __iter__(self) -> Iterator[Entry]:
        return chain.from_iterable(self.buckets)

    @property
    def buckets(self) -> Collection[Sequence[Entry]]:
        if not self._buckets[True]:
            return self._buckets[False].values()
        return [*self._buckets[True].values(), *self._buckets[False].values()]

    @property
    def buckets_for_workers(self) -> Collection[Sequence[Entry]]:
        """Those that no pump may run."""
        return self._buckets[False].values()

    @property
    def buckets_for_pump(self) -> Collection[Sequence[Entry]]:
        return self._buckets[True].values()

    def add(self, entry: Entry) -> Bucket:
        """Returns its bucket."""
        buckets = self._buckets[entry.on_pump]
        bucket = buckets.get(entry.bucket)
        if bucket is None:
            bucket = buckets[entry.bucket] = Bucket()
        bucket.append(entry)
        bucket.rows += entry.rows
        self.calls += 1
        self.size_bytes += entry.size_bytes
        self.expected_s += entry.expected_s
        return bucket

    def put_back(self, entries: Sequence[Entry]) -> None:
        """Those of one bucket, which have waited before: ahead of all that came later. For workers only."""
        for entry in reversed(entries):
            entry.on_pump = entry.runs_on_pump = False
            bucket = self.add(entry)
            bucket.rotate(1)

    def remove(self, entries: Sequence[Entry]) -> None:
        """Fast for those at the front of their bucket, and for all that wait."""
        if len(entries) == self.calls:
            self._buckets[True].clear()
            self._buckets[False].clear()
            self.calls = self.size_bytes = 0
            self.expected_s = 0.0  # sums of fractions drift: they begin anew
            return
        for entry in entries:
            buckets = self._buckets[entry.on_pump]
            bucket = buckets[entry.bucket]
            bucket.remove(entry)
            bucket.rows -= entry.rows
            if not bucket:
                del buckets[entry.bucket]
            self.calls -= 1
            self.size_bytes -= entry.size_bytes
            self.expected_s -= entry.expected_s
