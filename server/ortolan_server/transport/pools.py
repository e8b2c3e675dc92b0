"""Thread pools that know how many calls they hold."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

__all__ = ["CallPool"]


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
    def full(self) -> bool:
        return self._pending >= self.limit

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
