"""Many inferences over one stream."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Protocol, Self

import grpc
from numpy.typing import ArrayLike, NDArray

from ortolan_client._errors import Cancelled, InferError, OrtolanClientError

__all__ = ["AsyncInferStream", "AsyncStreamCall", "InferStream", "StreamCall", "StreamReader", "raise_closed"]

_Answer = dict[str, NDArray[Any]]
_Item = Mapping[str, ArrayLike]


def raise_closed(error: asyncio.CancelledError, model: str) -> None:
    """Raises Cancelled, unless it is the task that is cancelled: gRPC says the same for a client that was closed."""
    task = asyncio.current_task()
    if task is None or not task.cancelling():
        raise Cancelled("the client was closed", code="CANCELLED", model=model) from error


class StreamCall(Protocol):
    """One of gRPC's that is under way."""

    def __next__(self) -> bytes: ...

    def cancel(self) -> bool: ...


class AsyncStreamCall(Protocol):
    """One of gRPC's for asyncio that is under way."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    def cancel(self) -> bool: ...

    def done(self) -> bool: ...


class StreamReader:
    """What the messages of one stream say, in their order."""

    def __init__(
        self,
        model: str,
        read: Callable[[bytes], str | _Answer],
        error: Callable[[grpc.RpcError], OrtolanClientError],
    ) -> None:
        self.model = model
        self._read = read
        self.error = error
        self._answered = 0

    def take(self, data: bytes) -> _Answer:
        """Raises InferError for an item that failed, and BadAnswer."""
        index = self._answered
        self._answered += 1
        answer = self._read(data)
        if isinstance(answer, str):
            raise InferError(answer, index=index, model=self.model)
        return answer


class InferStream(Iterator[_Answer]):
    """The answers of one stream, in the order of the inputs. Made by `Client.stream`.

    An item that fails raises InferError from `next()`, and the item after it is still to come: a plain `for` stops
    at the first failure, and who wants to go on asks `next()` again. Every other error ends the stream. What the
    iterable of inputs itself raises comes after the answers to what it gave before.

    The inputs are drawn by a thread of gRPC as fast as the connection takes them. Leaving the stream early cancels
    what is under way: use it as a context manager, or `close()`.
    """

    def __init__(
        self,
        start: Callable[[Iterator[bytes]], StreamCall],
        inputs: Iterable[_Item],
        encode: Callable[[int, _Item], bytes],
        reader: StreamReader,
    ) -> None:
        self._inputs = inputs
        self._encode = encode
        self._reader = reader
        self._inputs_error: Exception | None = None
        self._call = start(self._requests())

    def _requests(self) -> Iterator[bytes]:
        try:
            for index, item in enumerate(self._inputs):
                yield self._encode(index, item)
        except Exception as error:  # noqa: BLE001 (of the caller's iterable: it comes out of `__next__`)
            self._inputs_error = error

    def __next__(self) -> _Answer:
        try:
            data = next(self._call)
        except StopIteration:
            if self._inputs_error is not None:
                error, self._inputs_error = self._inputs_error, None
                raise error from None
            raise
        except grpc.RpcError as error:
            raise self._reader.error(error) from error
        return self._reader.take(data)

    def close(self) -> None:
        """Cancels what is under way. Does nothing to a stream that has ended."""
        self._call.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class AsyncInferStream(AsyncIterator[_Answer]):
    """As `InferStream`, for `async for` and `anext()`. Made by `AsyncClient.stream`.

    The inputs may be an asynchronous iterable; they are drawn by a task, as fast as the connection takes them.
    """

    def __init__(
        self,
        start: Callable[[AsyncIterator[bytes]], AsyncStreamCall],
        inputs: AsyncIterable[_Item] | Iterable[_Item],
        encode: Callable[[int, _Item], Awaitable[bytes]],
        reader: StreamReader,
    ) -> None:
        self._inputs = inputs
        self._encode = encode
        self._reader = reader
        self._inputs_error: Exception | None = None
        self._closed = False
        self._call = start(self._requests())
        self._messages = aiter(self._call)

    async def _requests(self) -> AsyncIterator[bytes]:
        index = 0
        try:
            if isinstance(self._inputs, AsyncIterable):
                async for item in self._inputs:
                    yield await self._encode(index, item)
                    index += 1
            else:
                for item in self._inputs:
                    yield await self._encode(index, item)
                    index += 1
        except Exception as error:  # noqa: BLE001 (of the caller's iterable: it comes out of `__anext__`)
            self._inputs_error = error

    async def __anext__(self) -> _Answer:
        if self._closed:
            raise Cancelled("the stream was closed", code="CANCELLED", model=self._reader.model)
        try:
            data = await anext(self._messages)
        except StopAsyncIteration:
            if self._inputs_error is not None:
                error, self._inputs_error = self._inputs_error, None
                raise error from None
            raise
        except grpc.RpcError as error:
            raise self._reader.error(error) from error
        except asyncio.CancelledError as error:
            self._closed = True  # gRPC cancels a call of which a reading is cancelled
            raise_closed(error, self._reader.model)
            raise
        return self._reader.take(data)

    async def close(self) -> None:
        """Cancels what is under way. Does nothing to a stream that has ended."""
        self._closed = not self._call.done()
        self._call.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()
