"""How a signal reaches the main thread, which waits for it."""

import select
import socket

__all__ = ["Stop"]


class Stop:
    """Asked for by a signal's handler or by another thread, waited for by the main thread.

    Not a `threading.Event`: a handler runs in the main thread between any two steps of its `wait()`, and where that
    holds the event's lock, `set()` would wait for it for ever; the signal, and the server with it, would hang.
    """

    def __init__(self, look_s: float) -> None:
        """`look_s`: a signal that another thread was given wakes nobody; Python handles it when `wait()` looks next."""
        self.asked = False
        self._look_s = look_s
        self._wakes, self._waker = socket.socketpair()

    def ask(self) -> None:
        """Any number of times."""
        self.asked = True
        self._waker.send(b"\0")

    def wait(self) -> None:
        """Until somebody asks, or has asked already."""
        while not self.asked:
            select.select([self._wakes], [], [], self._look_s)
