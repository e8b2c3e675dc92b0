"""The client: one method for each call, arrays for tensors, protobuf messages for the rest."""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
from google.protobuf.message import Message
from numpy.typing import ArrayLike, NDArray

from ortolan.inference import inference_pb2, inference_pb2_grpc, model_config_pb2
from ortolan.v1 import provider_reflection_pb2, provider_reflection_pb2_grpc
from ortolan_client._answer import Answer
from ortolan_client._channel import MAX_MESSAGE_BYTES, open_channel
from ortolan_client._errors import InvalidInput, OrtolanClientError, from_rpc_error
from ortolan_client._health import HealthStatus, health_check
from ortolan_client._messages import infer_request, output_arrays
from ortolan_client._stream import InferStream
from ortolan_client._tls import Tls
from ortolan_client._token import token_metadata

__all__ = ["Client"]

_Response = TypeVar("_Response")


class Client:
    """A connection to one server, made at the first call; threads may share it.

        with Client("127.0.0.1:8001") as client:
            scores = client.infer("digits", {"X": images})["probabilities"]
            print(client.assignment("digits").serving_provider)

    `address` is HOST:PORT or unix:PATH. Every call has a deadline: `timeout_s`, or the one given to the call.
    `max_message_bytes` bounds messages both ways on this side; the server has a limit of its own. `tls` None: what
    is sent can be read on the way; see `Tls`. `token` goes with every call, for a server that wants one
    (`ortolan serve --auth-tokens`); without `tls` whoever is between can read it.

    Tensors are numpy arrays. In: every numeric type of the protocol, BF16 as `ml_dtypes.bfloat16` or as uint16 bit
    patterns (then the model's metadata is asked for once, to tell it from UINT16), BYTES as arrays of str or bytes.
    Out: read-only views of the answer, BF16 as uint16 bit patterns, BYTES as arrays of bytes objects. All else comes
    as the protobuf messages of `ortolan.inference` and `ortolan.v1`, which are made to be read.

    Raises `OrtolanClientError` and its subclasses, see there.
    """

    def __init__(
        self,
        address: str = "127.0.0.1:8001",
        *,
        timeout_s: float = 60.0,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        tls: Tls | None = None,
        token: str = "",
    ) -> None:
        self.address = address
        self.timeout_s = timeout_s
        self.max_message_bytes = max_message_bytes
        self.tls = tls
        self._metadata = token_metadata(token)
        self._channel = open_channel(address, max_message_bytes=max_message_bytes, tls=tls)
        self._inference = inference_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self._reflection = provider_reflection_pb2_grpc.ProviderReflectionStub(self._channel)
        self._datatypes: dict[tuple[str, str], Mapping[str, str]] = {}

    def close(self) -> None:
        """Closes the connection and cancels what is under way."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def infer(  # noqa: PLR0913 (what one request can say)
        self,
        model: str,
        inputs: Mapping[str, ArrayLike],
        *,
        version: str = "",
        outputs: Sequence[str] | None = None,
        timeout_s: float | None = None,
        request_id: str = "",
    ) -> dict[str, NDArray[Any]]:
        """One inference. `outputs` None: all of them. `version` empty: the one that serves by default."""
        request = infer_request(
            model,
            inputs,
            version=version,
            outputs=outputs,
            request_id=request_id,
            declared=lambda: self._declared(model, version),
        )
        try:
            response = self._call(self._inference.ModelInfer, request, model, timeout_s)
        except InvalidInput:
            self._datatypes.pop((model, version), None)  # another model may have taken its place
            raise
        return output_arrays(response, model)

    def submit(
        self,
        model: str,
        inputs: Mapping[str, ArrayLike],
        *,
        version: str = "",
        outputs: Sequence[str] | None = None,
        timeout_s: float | None = None,
    ) -> Future[dict[str, NDArray[Any]]]:
        """One inference in the background: as `infer()`, but that every error comes out of the future.

        `cancel()` cancels the call, whenever it comes before the answer. Callbacks run on a thread of gRPC, or on that
        which cancels: what takes long in one delays the answers to others.
        """
        try:
            request = infer_request(
                model,
                inputs,
                version=version,
                outputs=outputs,
                request_id="",
                declared=lambda: self._declared(model, version),
            )
        except OrtolanClientError as error:
            failed: Future[dict[str, NDArray[Any]]] = Future()
            failed.set_exception(error)
            return failed
        call = self._inference.ModelInfer.future(
            request, timeout=self._deadline(timeout_s), metadata=self._metadata
        )

        def take() -> dict[str, NDArray[Any]]:
            try:
                return output_arrays(call.result(), model)
            except grpc.RpcError as error:
                raise from_rpc_error(error, model, self.tls) from error

        return Answer(call, take)

    def stream(
        self,
        model: str,
        inputs: Iterable[Mapping[str, ArrayLike]],
        *,
        version: str = "",
        outputs: Sequence[str] | None = None,
        timeout_s: float | None = None,
    ) -> InferStream:
        """One inference for each item of `inputs`, over one stream that has `timeout_s` as a whole.

        Answers come in order; an item that fails raises InferError and does not end the stream, see `InferStream`.
        """

        def encode(index: int, item: Mapping[str, ArrayLike]) -> inference_pb2.ModelInferRequest:
            return infer_request(
                model,
                item,
                version=version,
                outputs=outputs,
                request_id=str(index),
                declared=lambda: self._declared(model, version),
            )

        return InferStream(
            lambda requests: self._inference.ModelStreamInfer(
                requests, timeout=self._deadline(timeout_s), metadata=self._metadata
            ),
            inputs,
            encode,
            model,
            self.tls,
        )

    def _declared(self, model: str, version: str) -> Mapping[str, str]:
        key = (model, version)
        if key not in self._datatypes:
            self._datatypes[key] = {tensor.name: tensor.datatype for tensor in self.metadata(model, version).inputs}
        return self._datatypes[key]

    def server_live(self) -> bool:
        return self._call(self._inference.ServerLive, inference_pb2.ServerLiveRequest()).live

    def server_ready(self) -> bool:
        """True when every required model serves."""
        return self._call(self._inference.ServerReady, inference_pb2.ServerReadyRequest()).ready

    def model_ready(self, model: str, version: str = "") -> bool:
        """Raises NotFound for a model or version that the server does not know."""
        request = inference_pb2.ModelReadyRequest(name=model, version=version)
        return self._call(self._inference.ModelReady, request, model).ready

    def server_metadata(self) -> inference_pb2.ServerMetadataResponse:
        return self._call(self._inference.ServerMetadata, inference_pb2.ServerMetadataRequest())

    def metadata(self, model: str, version: str = "") -> inference_pb2.ModelMetadataResponse:
        """Tensors of the model; in `properties` the short form of where it runs."""
        request = inference_pb2.ModelMetadataRequest(name=model, version=version)
        return self._call(self._inference.ModelMetadata, request, model)

    def config(self, model: str, version: str = "") -> model_config_pb2.ModelConfig:
        """The model's configuration in Triton's terms."""
        request = inference_pb2.ModelConfigRequest(name=model, version=version)
        return self._call(self._inference.ModelConfig, request, model).config

    def statistics(self, model: str = "", version: str = "") -> list[inference_pb2.ModelStatistics]:
        """Counts and durations since each version was loaded. `model` empty: all of them."""
        request = inference_pb2.ModelStatisticsRequest(name=model, version=version)
        return list(self._call(self._inference.ModelStatistics, request, model).model_stats)

    def index(self, *, ready: bool = False) -> list[inference_pb2.RepositoryIndexResponse.ModelIndex]:
        """Every version in the repository with its state. `ready`: only those that serve."""
        request = inference_pb2.RepositoryIndexRequest(ready=ready)
        return list(self._call(self._inference.RepositoryIndex, request).models)

    def load(self, model: str, *, timeout_s: float | None = None) -> None:
        """Loads or reloads; returns when it serves. Where the operator allows it (else NotAllowed)."""
        request = inference_pb2.RepositoryModelLoadRequest(model_name=model)
        self._call(self._inference.RepositoryModelLoad, request, model, timeout_s)

    def unload(self, model: str, *, timeout_s: float | None = None) -> None:
        """Drains and unloads. Where the operator allows it (else NotAllowed)."""
        request = inference_pb2.RepositoryModelUnloadRequest(model_name=model)
        self._call(self._inference.RepositoryModelUnload, request, model, timeout_s)

    def health(self, service: str = "") -> HealthStatus:
        """What `grpc.health.v1` answers, NotFound for a service it does not know.

        "" is the server; `<model>` and `<model>/<version>` say whether it serves, `<model>#contract` whether its
        contract is kept.
        """
        try:
            return health_check(self._channel, service, self.timeout_s, self._metadata)
        except grpc.RpcError as error:
            raise from_rpc_error(error, service, self.tls) from error

    def server(self) -> provider_reflection_pb2.GetServerResponse:
        """Versions, host and limits of the server."""
        return self._call(self._reflection.GetServer, provider_reflection_pb2.GetServerRequest())

    def providers(self, names: Sequence[str] = (), *, refresh: bool = False) -> list[provider_reflection_pb2.Provider]:
        """Every provider family, or those named: available on the server or not, and why. `refresh`: probe again."""
        request = provider_reflection_pb2.ListProvidersRequest(names=names, refresh=refresh)
        return list(self._call(self._reflection.ListProviders, request).providers)

    def assignments(self, model: str = "") -> list[provider_reflection_pb2.AssignmentSummary]:
        """One line for each served or failed version. `model` empty: all of them."""
        request = provider_reflection_pb2.ListAssignmentsRequest(model=model)
        return list(self._call(self._reflection.ListAssignments, request, model).assignments)

    def assignment(
        self, model: str, version: str = "", *, omit_nodes: bool = False
    ) -> provider_reflection_pb2.Assignment:
        """All that is known of one version: requested chain, attempts, nodes, verdict."""
        request = provider_reflection_pb2.GetAssignmentRequest(model=model, version=version, omit_nodes=omit_nodes)
        return self._call(self._reflection.GetAssignment, request, model).assignment

    def watch(self, model: str = "") -> Generator[provider_reflection_pb2.AssignmentSummary, None, None]:
        """First the present state of each version, then every change, until the iterator is closed.

        The one call without a deadline: it is there to wait. Pings find out a server that hangs.
        """
        call = self._reflection.WatchAssignments(
            provider_reflection_pb2.WatchAssignmentsRequest(model=model), metadata=self._metadata
        )
        try:
            for message in call:
                yield message.assignment
        except grpc.RpcError as error:
            raise from_rpc_error(error, model, self.tls) from error
        finally:
            call.cancel()

    def plan(
        self,
        model: str,
        version: str = "",
        *,
        chain: Iterable[str | provider_reflection_pb2.Rung] = (),
        omit_nodes: bool = False,
        timeout_s: float | None = None,
    ) -> provider_reflection_pb2.Assignment:
        """Opens a model of the server's repository on a chain without serving it, and says what came of it.

        `chain` is of short names or of rungs with options; empty: the model's own. Costs a load.
        """
        rungs = [provider_reflection_pb2.Rung(provider=rung) if isinstance(rung, str) else rung for rung in chain]
        request = provider_reflection_pb2.PlanAssignmentRequest(
            model=model, version=version, chain=rungs, omit_nodes=omit_nodes
        )
        return self._call(self._reflection.PlanAssignment, request, model, timeout_s).assignment

    def _deadline(self, timeout_s: float | None) -> float:
        return self.timeout_s if timeout_s is None else timeout_s

    def _call(
        self, method: Callable[..., _Response], request: Message, model: str = "", timeout_s: float | None = None
    ) -> _Response:
        try:
            return method(request, timeout=self._deadline(timeout_s), metadata=self._metadata)
        except grpc.RpcError as error:
            raise from_rpc_error(error, model, self.tls) from error
