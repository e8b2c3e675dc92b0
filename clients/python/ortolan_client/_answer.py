"""The answer of a call that is under way, as a future of the standard library."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

import grpc

__all__ = ["Answer"]

_Result = TypeVar("_Result")


class Answer(Future[_Result], Generic[_Result]):
    """Done when the call is. `take` gives its result when it has ended, or raises."""

    def __init__(self, call: "grpc.Future[Any]", take: Callable[[], _Result]) -> None:
        super().__init__()
        self._call = call
        self._take = take
        call.add_done_callback(self._settle)

    def cancel(self) -> bool:
        """Cancels the call, too. False when the answer is there."""
        if not super().cancel():
            return False
        self._call.cancel()
        return True

    def _settle(self, _: object) -> None:
        if not self.set_running_or_notify_cancel():
            return
        try:
            result = self._take()
        except Exception as error:  # noqa: BLE001 (whoever waits must hear of it: this is a thread of gRPC)
            self.set_exception(error)
        else:
            self.set_result(result)
