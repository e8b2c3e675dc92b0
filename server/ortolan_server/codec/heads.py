"""Requests that say the same again: small ones mostly differ in nothing but the data of their tensor.

A message whose last field is its one tensor begins with bytes that say all the rest, the tensor's size included. Where
these were parsed before, the same bytes mean the same message.
"""

from typing import Any

from ortolan.inference.inference_pb2 import ModelInferRequest

__all__ = ["Head", "Heads"]

# Heads are the callers' choice: without bounds each new one would cost memory for good.
_MOST_HEADS = 1024
_MOST_HEAD_BYTES = 1024
_MOST_STARTS = 4


class Head:
    """What stands before the tensor. Shared by all requests that have it: nobody changes its message."""

    __slots__ = ("memo", "message", "size_bytes", "start")

    def __init__(self, message: ModelInferRequest, start: int, size_bytes: int) -> None:
        self.message = message
        """Without its tensor's data."""
        self.start = start
        """Where the tensor's data begins; it ends with the message."""
        self.size_bytes = size_bytes
        """Of the whole message."""
        self.memo: Any = None
        """What its reader worked out of it."""


class Heads:
    """Those that were seen. Threads may share it."""

    def __init__(self) -> None:
        self._heads: dict[bytes, Head] = {}
        self._starts: dict[int, tuple[int, ...]] = {}
        """By the size of the message."""

    def find(self, data: bytes) -> Head | None:
        """That of a whole message."""
        size_bytes = len(data)
        for start in self._starts.get(size_bytes, ()):
            head = self._heads.get(data[:start])
            if head is not None and head.size_bytes == size_bytes:
                return head
        return None

    def add(self, data: bytes, start: int, message: ModelInferRequest) -> Head:
        """The last field of `data` is a tensor with its data from `start` on; `message` is all before that field."""
        size_bytes = len(data)
        head = Head(message, start, size_bytes)
        if start > _MOST_HEAD_BYTES:
            return head
        if len(self._heads) >= _MOST_HEADS or len(self._starts) >= _MOST_HEADS:
            self._heads.clear()
            self._starts.clear()
        self._heads[data[:start]] = head
        starts = self._starts.get(size_bytes, ())
        if start not in starts:
            self._starts[size_bytes] = (start, *starts)[:_MOST_STARTS]
        return head
