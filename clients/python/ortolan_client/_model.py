"""One model of a server: what it takes is known, and what does not fit is told before it is sent."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Unpack

from numpy.typing import NDArray

from ortolan.v1 import provider_reflection_pb2 as reflection
from ortolan_client._bulk.bulk import Bulk, BulkOptions, Rows
from ortolan_client._connection import CallOptions
from ortolan_client._messages import Outputs
from ortolan_client._signature import Inputs, Signature, TensorSpec
from ortolan_client._stream import AsyncInferStream, InferStream

if TYPE_CHECKING:
    from ortolan_client._async_client import AsyncClient
    from ortolan_client._client import Client

__all__ = ["AsyncModel", "Model"]

_Arrays = dict[str, NDArray[Any]]


class _Handle:
    """What a handle knows."""

    def __init__(self, signature: Signature) -> None:
        self.signature = signature

    @property
    def name(self) -> str:
        return self.signature.model

    @property
    def version(self) -> str:
        """Empty: the one that serves by default."""
        return self.signature.version

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        return self.signature.inputs

    @property
    def outputs(self) -> Mapping[str, TensorSpec]:
        return self.signature.outputs

    @property
    def batch_axis(self) -> int | None:
        """0 where the first dimension may vary in every input and output, as that of a batch does; else None."""
        return self.signature.batch_axis

    def __repr__(self) -> str:
        takes = ", ".join(f"{name} {spec}" for name, spec in self.inputs.items())
        gives = ", ".join(f"{name} {spec}" for name, spec in self.outputs.items())
        return f"<model {self.name}{self.version and '/'}{self.version}: {takes} → {gives}>"

    def _feeds(self, inputs: Inputs, outputs: Outputs) -> _Arrays:
        self.signature.check_outputs(outputs or ())
        return self.signature.feeds(inputs)


class Model(_Handle):
    """A model as it was when `Client.model` asked; after it was replaced by another, ask again.

    `inputs` everywhere are arrays by name, or the one array of a model with one input. Names, dtypes and shapes are
    held against the model's before anything is sent: InvalidInput says what it takes. Arrays are cast where no
    value can be lost; numbers of Python and lists of them fit wherever their values do.
    """

    def __init__(self, client: "Client", signature: Signature) -> None:
        super().__init__(signature)
        self._client = client

    def infer(
        self, inputs: Inputs, *, outputs: Outputs = None, request_id: str = "", **options: Unpack[CallOptions]
    ) -> _Arrays:
        """As `Client.infer`."""
        feeds = self._feeds(inputs, outputs)
        return self._client.infer(
            self.name, feeds, version=self.version, outputs=outputs, request_id=request_id, **options
        )

    def submit(self, inputs: Inputs, *, outputs: Outputs = None, **options: Unpack[CallOptions]) -> Future[_Arrays]:
        """As `Client.submit`; what does not fit is raised here."""
        feeds = self._feeds(inputs, outputs)
        return self._client.submit(self.name, feeds, version=self.version, outputs=outputs, **options)

    def stream(
        self, inputs: Iterable[Inputs], *, outputs: Outputs = None, **options: Unpack[CallOptions]
    ) -> InferStream:
        """As `Client.stream`; what does not fit ends the stream, after the answers to what came before."""
        feeds = (self._feeds(item, outputs) for item in inputs)
        return self._client.stream(self.name, feeds, version=self.version, outputs=outputs, **options)

    def map(self, rows: Rows, **options: Unpack[BulkOptions]) -> Bulk:
        """As `Client.map`."""
        return self._client.map(self.name, rows, version=self.version, **options)

    def ready(self, **options: Unpack[CallOptions]) -> bool:
        return self._client.model_ready(self.name, self.version, **options)

    def assignment(self, *, omit_nodes: bool = False, **options: Unpack[CallOptions]) -> reflection.Assignment:
        """Where it really runs."""
        return self._client.assignment(self.name, self.version, omit_nodes=omit_nodes, **options)


class AsyncModel(_Handle):
    """As `Model`. Made by `AsyncClient.model`."""

    def __init__(self, client: "AsyncClient", signature: Signature) -> None:
        super().__init__(signature)
        self._client = client

    async def infer(
        self, inputs: Inputs, *, outputs: Outputs = None, request_id: str = "", **options: Unpack[CallOptions]
    ) -> _Arrays:
        feeds = self._feeds(inputs, outputs)
        return await self._client.infer(
            self.name, feeds, version=self.version, outputs=outputs, request_id=request_id, **options
        )

    def stream(
        self,
        inputs: AsyncIterable[Inputs] | Iterable[Inputs],
        *,
        outputs: Outputs = None,
        **options: Unpack[CallOptions],
    ) -> AsyncInferStream:
        async def feeds() -> AsyncIterator[_Arrays]:
            if isinstance(inputs, AsyncIterable):
                async for item in inputs:
                    yield self._feeds(item, outputs)
            else:
                for item in inputs:
                    yield self._feeds(item, outputs)

        return self._client.stream(self.name, feeds(), version=self.version, outputs=outputs, **options)

    async def ready(self, **options: Unpack[CallOptions]) -> bool:
        return await self._client.model_ready(self.name, self.version, **options)

    async def assignment(self, *, omit_nodes: bool = False, **options: Unpack[CallOptions]) -> reflection.Assignment:
        return await self._client.assignment(self.name, self.version, omit_nodes=omit_nodes, **options)
