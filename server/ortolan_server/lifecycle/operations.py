"""Loads that were asked for and have not ended: what an unload or the server's end cancels."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ortolan_backends.runtime.load_handle import LoadHandle

__all__ = ["Operations"]


class Operations:
    """By model. Any thread. One that waits for its turn is there too, so that it does not undo an unload."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handles: list[tuple[str, LoadHandle]] = []
        self._stopped = ""

    @contextmanager
    def begin(self, model: str) -> Iterator[LoadHandle]:
        """A load of that model, which is over when the block is."""
        entry = (model, LoadHandle())
        with self._lock:
            self._handles.append(entry)
            if self._stopped:
                entry[1].cancel(self._stopped)
        try:
            yield entry[1]
        finally:
            with self._lock:
                self._handles.remove(entry)

    def cancel(self, model: str, reason: str) -> None:
        """Those of a model that were begun."""
        with self._lock:
            for name, handle in self._handles:
                if name == model:
                    handle.cancel(reason)

    def cancel_all(self, reason: str) -> None:
        """Those of all models, also if they begin later."""
        with self._lock:
            self._stopped = reason
            for _, handle in self._handles:
                handle.cancel(reason)
