"""Whose turn it is to open a session: one at a time in a process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from ortolan_backends.runtime.load_handle import LoadHandle

__all__ = ["Turns"]

_LOOK_S = 0.05


class Turns:
    """A block at a time. Who is at its own, or waits for it, says so by its handle."""

    def __init__(self) -> None:
        self._taken = threading.Lock()
        self._now = ""

    @contextmanager
    def take(self, name: str, handle: LoadHandle) -> Iterator[None]:
        """Raises LoadCancelled, also while it waits."""
        with handle.busy(lambda: f"it waits until another session is open: {self._now}"):
            while not self._taken.acquire(timeout=_LOOK_S):
                handle.require_wanted()
        self._now = now = f"{name} is being opened since {datetime.now(UTC):%Y-%m-%d %H:%M:%SZ}"
        try:
            handle.require_wanted()
            with handle.busy(lambda: now):
                yield
        finally:
            self._taken.release()
