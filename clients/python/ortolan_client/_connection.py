"""What both clients are made of: settings, and what they remember."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import grpc
from numpy.typing import NDArray

from ortolan.inference.inference_pb2 import ModelMetadataResponse
from ortolan_client._addresses import find_target
from ortolan_client._channel import MAX_MESSAGE_BYTES, plan_channel
from ortolan_client._errors import InvalidInput, OrtolanClientError, from_rpc_error
from ortolan_client._messages import read_stream_answer
from ortolan_client._metadata import Metadata, Pairs, metadata_pairs, token_metadata
from ortolan_client._regions import Region
from ortolan_client._stream import StreamReader
from ortolan_client._tls import Tls

__all__ = ["FAREWELL_S", "CallOptions", "Connection"]

FAREWELL_S = 5.0
"""How long to wait for a server that is told to forget something, when nobody waits for its answer."""


class CallOptions(TypedDict, total=False):
    """What every call takes."""

    timeout_s: float | None
    """Instead of the client's."""
    metadata: Metadata | None
    """Beside the client's."""


class Connection:
    """The settings of a client, see `Client`."""

    def __init__(  # noqa: PLR0913 (what a connection can be told)
        self,
        address: str | Sequence[str] = "127.0.0.1:8001",
        *,
        timeout_s: float = 60.0,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        tls: Tls | None = None,
        token: str = "",
        metadata: Metadata | None = None,
        retries: int = 3,
        compression: str = "",
    ) -> None:
        self.address = address if isinstance(address, str) else ",".join(address)
        self.timeout_s = timeout_s
        self.max_message_bytes = max_message_bytes
        self.tls = tls
        self._metadata = (*token_metadata(token), *metadata_pairs(metadata))
        self._target = find_target(address)
        self._plan = plan_channel(
            self._target, max_message_bytes=max_message_bytes, retries=retries, compression=compression, tls=tls
        )
        self._datatypes: dict[tuple[str, str], Mapping[str, str]] = {}
        self._regions: tuple[Region, ...] = ()
        self._changing_regions = threading.Lock()
        self._open()

    def _open(self) -> None:
        """What a kind of client has beside."""

    def _timeout_s(self, options: CallOptions) -> float:
        timeout_s = options.get("timeout_s")
        return self.timeout_s if timeout_s is None else timeout_s

    def _pairs(self, options: CallOptions) -> Pairs:
        more = options.get("metadata")
        return (*self._metadata, *metadata_pairs(more)) if more else self._metadata

    def _error(self, error: grpc.RpcError, about: str) -> OrtolanClientError:
        mapped = from_rpc_error(error, about, self.tls)
        if isinstance(mapped, InvalidInput):
            self._datatypes.clear()  # another model may have taken the place of the one that was asked
        return mapped

    def _stream_reader(self, model: str) -> StreamReader:
        regions = self._regions

        def read(data: bytes) -> str | dict[str, NDArray[Any]]:
            answer = read_stream_answer(data, model, regions)
            if isinstance(answer, str):
                self._datatypes.clear()  # as in `_error()`; in a stream there are no codes
            return answer

        return StreamReader(model, read, lambda error: self._error(error, model))

    def _remember(self, model: str, version: str, metadata: ModelMetadataResponse) -> Mapping[str, str]:
        """The datatypes of the model's inputs by name."""
        datatypes = {tensor.name: tensor.datatype for tensor in metadata.inputs}
        self._datatypes[model, version] = datatypes
        return datatypes

    def _require_one_server(self) -> None:
        if self._target.balanced:
            raise ValueError("shared memory is one server's; this client has several: make a client for each of them")

    def _keep(self, region: Region) -> None:
        with self._changing_regions:
            self._regions = (*self._regions, region)

    def _drop(self, region: Region) -> bool:
        """Whether it was known until now."""
        with self._changing_regions:
            known = region in self._regions
            self._regions = tuple(other for other in self._regions if other is not region)
        return known
