"""The work of one bulk inference: rows go out in batches, chunks of answered rows come back.

One thread does it all, that of whoever asks for the next chunk; threads of gRPC only put ended calls into a queue.
What decides is elsewhere and pure: how many calls (`window`), how many rows (`batch_size`), what a failure means
(`retry`).
"""

import heapq
import queue
import random
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from ortolan_client._bulk.batch_size import BatchSize
from ortolan_client._bulk.retry import Fate, Pause, fate
from ortolan_client._bulk.rows import RowSource, Tensors
from ortolan_client._bulk.window import Window
from ortolan_client._errors import (
    BadAnswer,
    InvalidInput,
    MessageTooLarge,
    OrtolanClientError,
    Overloaded,
    ServerError,
)

__all__ = ["BulkChunk", "BulkRun", "Submit"]

Submit = Callable[[int, Tensors], Future[dict[str, NDArray[Any]]]]
"""Sends a batch that begins with that row; its future gives the answer or raises OrtolanClientError."""

_BYTES_UNDER_WAY = 128 * 2**20
"""Of inputs in all calls that are under way: what is in memory stays bounded whatever the window says."""

_LEAST_AHEAD = 8
"""Batches that may be taken before the first that is not given out, beside twice the window."""


@dataclass(frozen=True, slots=True)
class BulkChunk:
    """Rows `start` to `start + rows` of a bulk inference: their answers, or the error of each of them."""

    start: int
    rows: int
    outputs: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    error: OrtolanClientError | None = None


@dataclass(order=True, slots=True)
class _Piece:
    """Rows as one call. `failures`: how often it failed, or what it was split from."""

    start: int
    rows: int = field(compare=False)
    inputs: Tensors = field(compare=False)
    failures: int = field(default=0, compare=False)
    sent_s: float = field(default=0.0, compare=False)
    under_way: int = field(default=0, compare=False)

    @property
    def size_bytes(self) -> int:
        return sum(array.nbytes for array in self.inputs.values())

    def halves(self) -> "tuple[_Piece, _Piece]":
        middle = self.rows // 2
        first = {name: array[:middle] for name, array in self.inputs.items()}
        second = {name: array[middle:] for name, array in self.inputs.items()}
        return (
            _Piece(self.start, middle, first, self.failures),
            _Piece(self.start + middle, self.rows - middle, second, self.failures),
        )


class BulkRun:
    """Iterates over the chunks of all rows of `source`, once: in their order, or, unless `ordered`, as they come.

    Leaving early cancels what is under way (`close()` of the iterator does). Raises OrtolanClientError for what no
    batch can pass: no answer for `retry_for_s`, no such model, no permission, answers that are no rows.
    """

    def __init__(  # noqa: PLR0913 (what it consists of)
        self,
        source: RowSource,
        submit: Submit,
        window: Window,
        batch: BatchSize,
        *,
        ordered: bool,
        retry_for_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.window = window
        self.batch = batch
        self._source = source
        self._submit = submit
        self._ordered = ordered
        self._clock = clock
        self._pause = Pause(retry_for_s)
        self._dice = random.Random()  # noqa: S311 (for pauses)
        self._ended: queue.SimpleQueue[tuple[_Piece, Future[dict[str, NDArray[Any]]], float]] = queue.SimpleQueue()
        self._under_way: dict[int, Future[dict[str, NDArray[Any]]]] = {}
        self._bytes_under_way = 0
        self._waiting: list[_Piece] = []
        self._ready: dict[int, BulkChunk] = {}
        self._taken_rows = 0
        self._given_rows = 0
        self._exhausted = False
        self._begun = False

    def __iter__(self) -> Iterator[BulkChunk]:
        try:
            while True:
                self._take_in()
                self._send()
                if (chunk := self._due()) is not None:
                    yield chunk
                elif self._under_way or self._waiting:
                    self._await()
                elif self._exhausted:
                    return
        finally:
            for future in list(self._under_way.values()):
                future.cancel()

    def _send(self) -> None:
        while len(self._under_way) < self.window.size and self._clock() >= self._pause.until_s:
            if self._under_way and self._bytes_under_way >= _BYTES_UNDER_WAY:
                return
            piece = heapq.heappop(self._waiting) if self._waiting else self._take()
            if piece is None:
                return
            self._start(piece)

    def _take(self) -> _Piece | None:
        """New rows from the source; None when there are no more, or too many are ahead of what was given out."""
        while not self._exhausted:
            if len(self._under_way) + len(self._ready) >= max(2 * self.window.size, _LEAST_AHEAD):
                return None
            taken = self._source.take(self.batch.size)
            if taken is None:
                self._exhausted = True
                return None
            start = self._taken_rows
            self._taken_rows += taken.rows
            if taken.error is not None:
                self._finish(BulkChunk(start, taken.rows, error=taken.error))
                continue
            piece = _Piece(start, taken.rows, taken.inputs)
            if not self._begun:
                self._begun = True
                self.batch.begin(piece.size_bytes // piece.rows)
            return piece
        return None

    def _start(self, piece: _Piece) -> None:
        piece.sent_s = self._clock()
        piece.under_way = len(self._under_way) + 1
        future = self._submit(piece.start, piece.inputs)
        self._under_way[piece.start] = future
        self._bytes_under_way += piece.size_bytes
        future.add_done_callback(lambda done: self._ended.put((piece, done, self._clock())))

    def _await(self) -> None:
        """Until a call has ended, or the pause has."""
        pause_s = self._pause.until_s - self._clock()
        if not self._under_way:
            time.sleep(max(0.0, pause_s))
            return
        with suppress(queue.Empty):
            self._end(*self._ended.get(timeout=pause_s if pause_s > 0 else None))

    def _take_in(self) -> None:
        while not self._ended.empty():
            self._end(*self._ended.get())

    def _end(self, piece: _Piece, future: Future[dict[str, NDArray[Any]]], now_s: float) -> None:
        del self._under_way[piece.start]
        self._bytes_under_way -= piece.size_bytes
        try:
            outputs = future.result()
        except OrtolanClientError as error:
            self._failed(piece, error, now_s)
            return
        self._pause.answered()
        _require_rows(outputs, piece.rows)
        self._finish(BulkChunk(piece.start, piece.rows, outputs))
        if not self.batch.searching(now_s):
            self.window.answered(piece.sent_s, now_s, piece.under_way)
        elif self.batch.answered(piece.rows, piece.sent_s, now_s):
            self.window.restart(now_s)

    def _failed(self, piece: _Piece, error: OrtolanClientError, now_s: float) -> None:
        piece.failures += 1
        becomes = fate(error, piece.failures, piece.rows)
        if becomes is Fate.GIVE_UP:
            raise error
        if isinstance(error, InvalidInput | MessageTooLarge):
            self._pause.answered()
        elif not self._pause.failed(piece.sent_s, now_s, self._dice.random()):
            raise error
        elif isinstance(error, Overloaded):
            self.window.refused(piece.sent_s, now_s)
        else:
            self.window.restart(now_s)
        if becomes is Fate.RETRY:
            heapq.heappush(self._waiting, piece)
        elif piece.rows == 1:
            self._finish(BulkChunk(piece.start, 1, error=error))
        else:
            if not isinstance(error, InvalidInput | ServerError) and piece.under_way == 1:
                self.batch.limit(piece.rows // 2)
            for half in piece.halves():
                heapq.heappush(self._waiting, half)

    def _finish(self, chunk: BulkChunk) -> None:
        self._ready[chunk.start] = chunk

    def _due(self) -> BulkChunk | None:
        """The chunk that may be given out now."""
        start = self._given_rows if self._ordered else next(iter(self._ready), None)
        chunk = None if start is None else self._ready.pop(start, None)
        if chunk is not None:
            self._given_rows += chunk.rows
        return chunk


def _require_rows(outputs: Mapping[str, NDArray[Any]], rows: int) -> None:
    for name, array in outputs.items():
        if array.shape[:1] != (rows,):
            came = f"output {name!r} has the shape {list(array.shape)} for a batch of {rows}: it has no row for each"
            raise BadAnswer(came, code="INTERNAL")
