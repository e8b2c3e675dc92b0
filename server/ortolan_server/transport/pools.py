"""Bounds: thread pools that know how many calls they hold, and bytes in flight."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from ortolan_server.errors import Overloaded

__all__ = ["ByteBudget", "CallPool"]


class CallPool(ThreadPoolExecutor):
    """Threads for one kind of call, made as they are needed, with the number of calls they hold.

    gRPC queues calls for a pool without bound; whoever routes them asks `full` first.
    """

    def __init__(self, limit: int, name: str) -> None:
        super().__init__(max_workers=limit, thread_name_prefix=name)
        self.limit = limit
        self._pending = 0
        self._changed = threading.Condition()

    @property
    def pending(self) -> int:
        """Calls that it holds."""
        return self._pending

    @property
    def full(self) -> bool:
        return self._pending >= self.limit

    @property
    def idle(self) -> bool:
        return self._pending == 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ANN401 - as the base
        with self._changed:
            self._pending += 1
        try:
            future = super().submit(fn, *args, **kwargs)
        except BaseException:
            self._ended()
            raise
        future.add_done_callback(lambda _future: self._ended())
        return future

    def wait_idle(self, timeout_s: float) -> bool:
        """Waits until it holds no call; False when time is over first."""
        with self._changed:
            return self._changed.wait_for(lambda: self._pending == 0, timeout_s)

    def _ended(self) -> None:
        with self._changed:
            self._pending -= 1
            self._changed.notify_all()


class ByteBudget:
    """Bytes of request messages between their arrival and their answer."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._lock = threading.Lock()

    @property
    def held(self) -> int:
        return self._held

    @property
    def limit(self) -> int:
        return self._limit

    def take(self, size: int) -> None:
        """Raises Overloaded when they are too many together; else `give_back` is due."""
        with self._lock:
            if self._held + size > self._limit:
                raise Overloaded(
                    f"{self._held} bytes of requests are in flight; {size} more are over the {self._limit} this server "
                    "takes (ortolan serve --max-in-flight-size)"
                )
            self._held += size

    def give_back(self, size: int) -> None:
        with self._lock:
            self._held -= size
