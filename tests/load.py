"""Calls from many threads at once, as long as something else happens to the server."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from ortolan_client import OrtolanClientError

__all__ = ["Load"]


@dataclass
class Load:
    """What came of it. `call` makes one call on the thread of that number, and says what was wrong with the answer."""

    call: Callable[[int], str]
    threads: int
    answered: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    longest_s: float = 0.0
    _over: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def going_on(self) -> Iterator["Load"]:
        """All threads call without a pause during the block; after it every call has ended."""
        with ThreadPoolExecutor(self.threads) as pool:
            running = [pool.submit(self._call_on, number) for number in range(self.threads)]
            try:
                yield self
            finally:
                self._over.set()
        for each in running:
            each.result()

    @property
    def failed(self) -> int:
        return self.failures.total()

    def wait_for_answers(self, more: int, limit_s: float = 240.0) -> None:
        """Until so many more calls were answered. Raises AssertionError when they are not."""
        goal, end_s = self.answered + more, time.monotonic() + limit_s
        while self.answered < goal:
            assert time.monotonic() < end_s, f"no {more} answers in {limit_s:.0f} s: {self.failures}"
            time.sleep(0.002)

    def _call_on(self, number: int) -> None:
        while not self._over.is_set():
            began_s = time.monotonic()
            try:
                failure = self.call(number)
            except OrtolanClientError as error:
                failure = f"{type(error).__name__}: {error}"
            with self._lock:
                self.longest_s = max(self.longest_s, time.monotonic() - began_s)
                self.answered += not failure
                if failure:
                    self.failures[failure] += 1
