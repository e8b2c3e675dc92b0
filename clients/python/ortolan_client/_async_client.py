"""The client for asyncio: the calls of `Client`, to be awaited."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType, TracebackType
from typing import Any, Self, TypeVar, Unpack

import grpc
from numpy.typing import ArrayLike, NDArray

from ortolan.inference import inference_pb2, model_config_pb2
from ortolan.v1 import provider_reflection_pb2
from ortolan_client import _calls as calls
from ortolan_client._connection import FAREWELL_S, CallOptions, Connection
from ortolan_client._errors import InvalidInput, OrtolanClientError
from ortolan_client._messages import Outputs, as_arrays, may_be_bf16
from ortolan_client._model import AsyncModel
from ortolan_client._regions import Region
from ortolan_client._shared_memory import AsyncSharedMemory, with_hint
from ortolan_client._signature import signature_of
from ortolan_client._stream import AsyncInferStream, AsyncStreamCall, raise_closed

__all__ = ["AsyncClient"]

_Result = TypeVar("_Result")
_Arrays = dict[str, NDArray[Any]]


class AsyncClient(Connection):
    """`Client` for asyncio: the same arguments, methods and errors, with `await`.

        async with AsyncClient("127.0.0.1:8001") as client:
            answers = await asyncio.gather(*(client.infer("digits", {"X": each}) for each in batches))

    `stream()` and `watch()` are for `async for`. There is no `submit()`: a task is that here. One client is of one
    event loop, that of its first call; to cancel a task cancels its call.
    """

    def _open(self) -> None:
        self._opened: grpc.aio.Channel | None = None
        self._closed = False
        self._methods: dict[str, grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]] = {}

    @property
    def _channel(self) -> grpc.aio.Channel:
        """Opened by the first call, since it is of the event loop that runs then."""
        if self._closed:
            raise ValueError("the client is closed")
        if self._opened is None:
            self._opened = self._plan.open_async()
        return self._opened

    async def close(self) -> None:
        """Closes the connection and cancels what is under way. Calls after it raise ValueError."""
        try:
            for region in self._regions:
                await self._unregister(region)
        finally:
            self._closed = True
            self._methods.clear()
            if self._opened is not None:
                await self._opened.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def model(self, model: str, version: str = "", **options: Unpack[CallOptions]) -> AsyncModel:
        return AsyncModel(self, signature_of(await self.metadata(model, version, **options), version))

    async def infer(
        self,
        model: str,
        inputs: Mapping[str, ArrayLike],
        *,
        version: str = "",
        outputs: Outputs = None,
        request_id: str = "",
        **options: Unpack[CallOptions],
    ) -> _Arrays:
        return await self._call(await self._infer_call(model, inputs, version, outputs, request_id, options), options)

    def stream(
        self,
        model: str,
        inputs: AsyncIterable[Mapping[str, ArrayLike]] | Iterable[Mapping[str, ArrayLike]],
        *,
        version: str = "",
        outputs: Outputs = None,
        **options: Unpack[CallOptions],
    ) -> AsyncInferStream:
        async def encode(index: int, item: Mapping[str, ArrayLike]) -> bytes:
            return (await self._infer_call(model, item, version, outputs, str(index), options)).request

        def start(requests: AsyncIterator[bytes]) -> AsyncStreamCall:
            method: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = self._channel.stream_stream(calls.STREAM)
            return method(requests, timeout=self._timeout_s(options), metadata=self._pairs(options))

        return AsyncInferStream(start, inputs, encode, self._stream_reader(model))

    async def shared_memory(self, size_bytes: int, **options: Unpack[CallOptions]) -> AsyncSharedMemory:
        self._require_one_server()
        memory = AsyncSharedMemory(size_bytes, self._unregister)
        try:
            await self._call(calls.register_region(memory.name, memory.key, size_bytes), options)
        except InvalidInput as error:
            raise with_hint(error) from error
        finally:
            memory.forget_name()
        self._keep(memory)
        return memory

    async def _unregister(self, region: Region) -> None:
        if self._drop(region):
            # One that is gone has forgotten it; one that refuses would refuse again.
            with suppress(OrtolanClientError):
                await self._call(calls.unregister_region(region.name), {"timeout_s": FAREWELL_S})

    async def server_live(self, **options: Unpack[CallOptions]) -> bool:
        return await self._call(calls.server_live(), options)

    async def server_ready(self, **options: Unpack[CallOptions]) -> bool:
        return await self._call(calls.server_ready(), options)

    async def model_ready(self, model: str, version: str = "", **options: Unpack[CallOptions]) -> bool:
        return await self._call(calls.model_ready(model, version), options)

    async def server_metadata(self, **options: Unpack[CallOptions]) -> inference_pb2.ServerMetadataResponse:
        return await self._call(calls.server_metadata(), options)

    async def metadata(
        self, model: str, version: str = "", **options: Unpack[CallOptions]
    ) -> inference_pb2.ModelMetadataResponse:
        return await self._call(calls.metadata(model, version), options)

    async def config(
        self, model: str, version: str = "", **options: Unpack[CallOptions]
    ) -> model_config_pb2.ModelConfig:
        return await self._call(calls.config(model, version), options)

    async def statistics(
        self, model: str = "", version: str = "", **options: Unpack[CallOptions]
    ) -> list[inference_pb2.ModelStatistics]:
        return await self._call(calls.statistics(model, version), options)

    async def index(
        self, *, ready: bool = False, **options: Unpack[CallOptions]
    ) -> list[inference_pb2.RepositoryIndexResponse.ModelIndex]:
        return await self._call(calls.index(ready=ready), options)

    async def load(
        self,
        model: str,
        *,
        config: str | None = None,
        files: Mapping[str, bytes] = MappingProxyType({}),
        force: bool = False,
        **options: Unpack[CallOptions],
    ) -> None:
        await self._call(calls.load(model, config, files, force=force), options)

    async def unload(self, model: str, **options: Unpack[CallOptions]) -> None:
        await self._call(calls.unload(model), options)

    async def health(self, service: str = "", **options: Unpack[CallOptions]) -> calls.HealthStatus:
        return await self._call(calls.health(service), options)

    async def server(self, **options: Unpack[CallOptions]) -> provider_reflection_pb2.GetServerResponse:
        return await self._call(calls.server(), options)

    async def providers(
        self, names: Sequence[str] = (), *, refresh: bool = False, **options: Unpack[CallOptions]
    ) -> list[provider_reflection_pb2.Provider]:
        return await self._call(calls.providers(names, refresh=refresh), options)

    async def assignments(
        self, model: str = "", **options: Unpack[CallOptions]
    ) -> list[provider_reflection_pb2.AssignmentSummary]:
        return await self._call(calls.assignments(model), options)

    async def assignment(
        self, model: str, version: str = "", *, omit_nodes: bool = False, **options: Unpack[CallOptions]
    ) -> provider_reflection_pb2.Assignment:
        return await self._call(calls.assignment(model, version, omit_nodes=omit_nodes), options)

    async def watch(
        self, model: str = "", **options: Unpack[CallOptions]
    ) -> AsyncGenerator[provider_reflection_pb2.AssignmentSummary, None]:
        call = calls.watch(model)
        method: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = self._channel.unary_stream(call.method)
        messages = method(call.request, timeout=options.get("timeout_s"), metadata=self._pairs(options))
        try:
            async for message in messages:
                yield call.read(message)
        except grpc.RpcError as error:
            raise self._error(error, call.about) from error
        except asyncio.CancelledError as error:
            raise_closed(error, call.about)
            raise
        finally:
            messages.cancel()

    async def plan(
        self,
        model: str,
        version: str = "",
        *,
        chain: Iterable[str | provider_reflection_pb2.Rung] = (),
        omit_nodes: bool = False,
        **options: Unpack[CallOptions],
    ) -> provider_reflection_pb2.Assignment:
        return await self._call(calls.plan(model, version, chain, omit_nodes=omit_nodes), options)

    async def _infer_call(  # noqa: PLR0913 (what one inference can say)
        self,
        model: str,
        inputs: Mapping[str, ArrayLike],
        version: str,
        outputs: Outputs,
        request_id: str,
        options: CallOptions,
    ) -> calls.Call[_Arrays]:
        arrays = as_arrays(inputs, model)
        declared = await self._declared(model, version, options) if may_be_bf16(arrays) else {}
        return calls.infer(model, arrays, version, outputs, request_id, declared, self._regions)

    async def _declared(self, model: str, version: str, options: CallOptions) -> Mapping[str, str]:
        known = self._datatypes.get((model, version))
        if known is not None:
            return known
        return self._remember(model, version, await self.metadata(model, version, **options))

    def _method(self, name: str) -> "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]":
        method = self._methods.get(name)
        if method is None:
            method = self._methods[name] = self._channel.unary_unary(name)
        return method

    async def _call(self, call: calls.Call[_Result], options: CallOptions) -> _Result:
        try:
            data = await self._method(call.method)(
                call.request, timeout=self._timeout_s(options), metadata=self._pairs(options)
            )
        except grpc.RpcError as error:
            raise self._error(error, call.about) from error
        except asyncio.CancelledError as error:
            raise_closed(error, call.about)
            raise
        return call.read(data)
