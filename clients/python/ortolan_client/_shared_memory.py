"""Shared memory as callers hold it: a region that is known to their server until it is closed."""

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from ortolan_client._errors import InvalidInput
from ortolan_client._regions import Region

__all__ = ["AsyncSharedMemory", "SharedMemory", "with_hint"]


class SharedMemory(Region):
    """Memory that this process and the server both have mapped. Made by `Client.shared_memory`.

    Inputs from `empty()` and `array()`, and contiguous parts of them, do not travel: messages say where they are.
    The caller leaves them alone while a call uses them. `close()` ends that; the arrays stay.
    """

    def __init__(self, size_bytes: int, unregister: Callable[[Region], None]) -> None:
        super().__init__(size_bytes)
        self._unregister = unregister

    def close(self) -> None:
        self._unregister(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class AsyncSharedMemory(Region):
    """As `SharedMemory`. Made by `AsyncClient.shared_memory`."""

    def __init__(self, size_bytes: int, unregister: Callable[[Region], Awaitable[None]]) -> None:
        super().__init__(size_bytes)
        self._unregister = unregister

    async def close(self) -> None:
        await self._unregister(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()


def with_hint(error: InvalidInput) -> InvalidInput:
    """What a server says that does not find the region, and why that mostly is."""
    return InvalidInput(
        f"{error.message}; shared memory needs a server on this machine that sees the same /dev/shm and runs as the "
        "same user",
        code=error.code,
    )
