"""How one load is stopped from another thread, whatever it is at."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ortolan_backends.errors import LoadCancelled

__all__ = ["LoadHandle"]


class LoadHandle:
    """Of one load: all the sessions it opens, and all the runs it makes of them.

    Whoever loads asks between its steps whether it is wanted still, and says of each long one how it is stopped.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reason = ""
        self._listeners: list[Callable[[str], None]] = []
        self._doing: list[Callable[[], str]] = []

    @property
    def cancelled(self) -> bool:
        return bool(self._reason)

    @property
    def doing(self) -> str:
        """What takes its time now, as a sentence; empty: nothing that is known to."""
        with self._lock:
            last = self._doing[-1] if self._doing else None
        return last() if last else ""

    @contextmanager
    def busy(self, doing: Callable[[], str]) -> Iterator[None]:
        """Whoever asks for it meanwhile is told that."""
        with self._lock:
            self._doing.append(doing)
        try:
            yield
        finally:
            with self._lock:
                self._doing.remove(doing)

    def cancel(self, reason: str) -> None:
        """Any thread, at any time, any number of times: the first reason stays. What it stops ends soon, not now."""
        with self._lock:
            self._reason = self._reason or reason
            for listener in self._listeners:
                listener(self._reason)

    def require_wanted(self) -> None:
        """Raises LoadCancelled, also to those that come later."""
        if self._reason:
            raise LoadCancelled(f"the load was cancelled: {self._reason}")

    @contextmanager
    def stopped_by(self, stop: Callable[[], None]) -> Iterator[None]:
        """`cancel()` meanwhile calls `stop`, which returns at once.

        Raises LoadCancelled instead of beginning when it was cancelled before, and instead of the error that stopping
        made.
        """
        self.require_wanted()
        with self.hearing(lambda _reason: stop()):
            try:
                yield
            except Exception as error:
                self._raise_instead(error)
                raise

    @contextmanager
    def hearing(self, listener: Callable[[str], None]) -> Iterator[None]:
        """Calls `listener` with the reason of a cancellation meanwhile, at once if there was one."""
        with self._lock:
            self._listeners.append(listener)
            if self._reason:
                listener(self._reason)
        try:
            yield
        finally:
            with self._lock:
                self._listeners.remove(listener)

    def _raise_instead(self, error: Exception) -> None:
        """Raises LoadCancelled if it was cancelled, without what was half open: the frames below would hold it."""
        if self._reason:
            raise LoadCancelled(f"the load was cancelled: {self._reason}") from error.with_traceback(None)
