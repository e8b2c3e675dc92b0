"""The client: one method for each call, arrays for tensors, protobuf messages for the rest."""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from types import MappingProxyType, TracebackType
from typing import Any, Self, TypeVar, Unpack

import grpc
from numpy.typing import ArrayLike, NDArray

from ortolan.inference import inference_pb2, model_config_pb2
from ortolan.v1 import provider_reflection_pb2
from ortolan_client import _calls as calls
from ortolan_client._answer import Answer
from ortolan_client._bulk.bulk import Bulk, BulkOptions, Rows, blocks_source, bulk, rows_source
from ortolan_client._connection import FAREWELL_S, CallOptions, Connection
from ortolan_client._errors import InvalidInput, OrtolanClientError
from ortolan_client._messages import Outputs, as_arrays, may_be_bf16
from ortolan_client._model import Model
from ortolan_client._regions import Region
from ortolan_client._shared_memory import SharedMemory, with_hint
from ortolan_client._signature import signature_of
from ortolan_client._stream import InferStream, StreamCall

__all__ = ["Client"]

_Result = TypeVar("_Result")
_Arrays = dict[str, NDArray[Any]]


class Client(Connection):
    """A connection to one server, or to several that serve the same, made at the first call; threads may share it.

        with Client("127.0.0.1:8001") as client:
            scores = client.infer("digits", {"X": images})["probabilities"]
            print(client.assignment("digits").serving_provider)

    `address` is HOST:PORT or unix:PATH. Several, as a sequence or with commas between, and `dns:///HOST:PORT` with all
    the addresses that the name has, get their calls in turn, and only while they say that they are ready.

    Every call has a deadline: `timeout_s`, or the one given to the call. What ends with UNAVAILABLE is tried again,
    on another server where there are several, up to `retries` (0 to 4) times with growing delays; but `load`, `unload`
    and `plan` are sent once.
    `max_message_bytes` bounds messages both ways on this side; the server has a limit of its own. `compression`, of
    what is sent, is "gzip" or "deflate".

    `tls` None: what is sent can be read on the way; see `Tls`. `token` goes with every call, for a server that wants
    one (`ortolan serve --auth-tokens`); without `tls` whoever is between can read it. So does `metadata`.

    Tensors are numpy arrays. In: every numeric type of the protocol, BF16 as `ml_dtypes.bfloat16` or as uint16 bit
    patterns (then the model's metadata is asked for once, to tell it from UINT16), BYTES as arrays of str or bytes.
    Out: read-only, BF16 as uint16 bit patterns, BYTES as arrays of bytes objects. All else comes as the protobuf
    messages of `ortolan.inference` and `ortolan.v1`, which are made to be read.

    Every method takes `timeout_s` and `metadata`, and raises `OrtolanClientError` and its subclasses, see there.
    """

    def _open(self) -> None:
        self._channel = self._plan.open()
        self._methods: dict[str, grpc.UnaryUnaryMultiCallable[bytes, bytes]] = {}

    def close(self) -> None:
        """Closes the connection and cancels what is under way. Calls after it raise ValueError."""
        try:
            for region in self._regions:
                self._unregister(region)
        finally:
            self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def model(self, model: str, version: str = "", **options: Unpack[CallOptions]) -> Model:
        """A handle that knows what the model takes and gives. Raises NotFound."""
        return Model(self, signature_of(self.metadata(model, version, **options), version))

    def infer(
        self,
        model: str,
        inputs: Mapping[str, ArrayLike],
        *,
        version: str = "",
        outputs: Outputs = None,
        request_id: str = "",
        **options: Unpack[CallOptions],
    ) -> _Arrays:
        """One inference. `version` empty: the one that serves by default.

        `outputs` None: all of them. As a mapping it says for each in which array of `shared_memory()` it shall be
        written, None: it comes in the answer.
        """
        return self._call(self._infer_call(model, inputs, version, outputs, request_id, options), options)

    def submit(
        self,
        model: str,
        inputs: Mapping[str, ArrayLike],
        *,
        version: str = "",
        outputs: Outputs = None,
        **options: Unpack[CallOptions],
    ) -> Future[_Arrays]:
        """One inference in the background: as `infer()`, but that every OrtolanClientError comes out of the future.

        `cancel()` cancels the call, whenever it comes before the answer. Callbacks run on a thread of gRPC, or on that
        which cancels: what takes long in one delays the answers to others.
        """
        try:
            call = self._infer_call(model, inputs, version, outputs, "", options)
        except OrtolanClientError as error:
            failed: Future[_Arrays] = Future()
            failed.set_exception(error)
            return failed
        sent = self._method(call.method).future(
            call.request, timeout=self._timeout_s(options), metadata=self._pairs(options)
        )

        read = call.read  # and not the request, which would live as long as the future

        def take() -> _Arrays:
            try:
                data = sent.result()
            except grpc.RpcError as error:
                raise self._error(error, model) from error
            return read(data)

        return Answer(sent, take)

    def map(self, model: str, rows: Rows, *, version: str = "", **options: Unpack[BulkOptions]) -> Bulk:
        """Any number of rows through a model, in batches whose size and number under way find themselves.

        `rows` is an iterable of mappings, one for each row, without the batch dimension; or columns: a mapping of
        arrays whose first dimension counts the rows. Iterate over what comes back, see `Bulk`; `BulkOptions` has
        the options. Raises InvalidInput for a model without a batch dimension.
        """
        return bulk(self, model, version, rows_source(rows), options)

    def map_blocks(
        self,
        model: str,
        blocks: Iterable[Mapping[str, NDArray[Any]]],
        *,
        version: str = "",
        total: int | None = None,
        **options: Unpack[BulkOptions],
    ) -> Bulk:
        """As `map`, of columns that come in blocks, each with any number of rows: for what does not fit into memory.

        `total`: how many rows there will be, for the progress.
        """
        return bulk(self, model, version, blocks_source(blocks, total), options)

    def stream(
        self,
        model: str,
        inputs: Iterable[Mapping[str, ArrayLike]],
        *,
        version: str = "",
        outputs: Outputs = None,
        **options: Unpack[CallOptions],
    ) -> InferStream:
        """One inference for each item of `inputs`, over one stream that has `timeout_s` as a whole.

        Answers come in order; an item that fails raises InferError and does not end the stream, see `InferStream`.
        """

        def encode(index: int, item: Mapping[str, ArrayLike]) -> bytes:
            return self._infer_call(model, item, version, outputs, str(index), options).request

        def start(requests: Iterator[bytes]) -> StreamCall:
            method: grpc.StreamStreamMultiCallable[bytes, bytes] = self._channel.stream_stream(calls.STREAM)
            return method(requests, timeout=self._timeout_s(options), metadata=self._pairs(options))

        return InferStream(start, inputs, encode, self._stream_reader(model))

    def shared_memory(self, size_bytes: int, **options: Unpack[CallOptions]) -> SharedMemory:
        """Memory for arrays that need not travel, where the server runs on this machine with `--shared-memory`.

            with client.shared_memory(2**28) as memory:
                x, y = memory.empty((64, 3, 224, 224)), memory.empty((64, 1000))
                x[...] = images
                client.infer("resnet", {"x": x}, outputs={"y": y})

        Raises NotAllowed where the server has it off, and InvalidInput where it does not see the same memory.
        """
        self._require_one_server()
        memory = SharedMemory(size_bytes, self._unregister)
        try:
            self._call(calls.register_region(memory.name, memory.key, size_bytes), options)
        except InvalidInput as error:
            raise with_hint(error) from error
        finally:
            memory.forget_name()
        self._keep(memory)
        return memory

    def _unregister(self, region: Region) -> None:
        if self._drop(region):
            # One that is gone has forgotten it; one that refuses would refuse again.
            with suppress(OrtolanClientError):
                self._call(calls.unregister_region(region.name), {"timeout_s": FAREWELL_S})

    def server_live(self, **options: Unpack[CallOptions]) -> bool:
        return self._call(calls.server_live(), options)

    def server_ready(self, **options: Unpack[CallOptions]) -> bool:
        """True when every required model serves."""
        return self._call(calls.server_ready(), options)

    def model_ready(self, model: str, version: str = "", **options: Unpack[CallOptions]) -> bool:
        """Raises NotFound for a model or version that the server does not know."""
        return self._call(calls.model_ready(model, version), options)

    def server_metadata(self, **options: Unpack[CallOptions]) -> inference_pb2.ServerMetadataResponse:
        return self._call(calls.server_metadata(), options)

    def metadata(
        self, model: str, version: str = "", **options: Unpack[CallOptions]
    ) -> inference_pb2.ModelMetadataResponse:
        """Tensors of the model; in `properties` the short form of where it runs."""
        return self._call(calls.metadata(model, version), options)

    def config(self, model: str, version: str = "", **options: Unpack[CallOptions]) -> model_config_pb2.ModelConfig:
        """The model's configuration in Triton's terms."""
        return self._call(calls.config(model, version), options)

    def statistics(
        self, model: str = "", version: str = "", **options: Unpack[CallOptions]
    ) -> list[inference_pb2.ModelStatistics]:
        """Counts and durations since each version was loaded. `model` empty: all of them."""
        return self._call(calls.statistics(model, version), options)

    def index(
        self, *, ready: bool = False, **options: Unpack[CallOptions]
    ) -> list[inference_pb2.RepositoryIndexResponse.ModelIndex]:
        """Every version in the repository with its state. `ready`: only those that serve."""
        return self._call(calls.index(ready=ready), options)

    def load(
        self,
        model: str,
        *,
        config: str | None = None,
        files: Mapping[str, bytes] = MappingProxyType({}),
        force: bool = False,
        **options: Unpack[CallOptions],
    ) -> None:
        """Loads or reloads; returns when it serves. Where the operator allows it (else NotAllowed).

        `config`, a model.toml or Triton's configuration as JSON, counts instead of the one on disk; `files`, by path
        below the model's folder (`1/model.onnx`), instead of its files, and need `config`. `force` takes a reload
        whose assignment is worse, too.
        """
        self._call(calls.load(model, config, files, force=force), options)

    def unload(self, model: str, **options: Unpack[CallOptions]) -> None:
        """Drains and unloads. Where the operator allows it (else NotAllowed)."""
        self._call(calls.unload(model), options)

    def health(self, service: str = "", **options: Unpack[CallOptions]) -> calls.HealthStatus:
        """What `grpc.health.v1` answers, NotFound for a service it does not know.

        "" is the server; `<model>` and `<model>/<version>` say whether it serves, `<model>#contract` whether its
        contract is kept.
        """
        return self._call(calls.health(service), options)

    def server(self, **options: Unpack[CallOptions]) -> provider_reflection_pb2.GetServerResponse:
        """Versions, host and limits of the server."""
        return self._call(calls.server(), options)

    def providers(
        self, names: Sequence[str] = (), *, refresh: bool = False, **options: Unpack[CallOptions]
    ) -> list[provider_reflection_pb2.Provider]:
        """Every provider family, or those named: available on the server or not, and why. `refresh`: probe again."""
        return self._call(calls.providers(names, refresh=refresh), options)

    def assignments(
        self, model: str = "", **options: Unpack[CallOptions]
    ) -> list[provider_reflection_pb2.AssignmentSummary]:
        """One line for each served or failed version. `model` empty: all of them."""
        return self._call(calls.assignments(model), options)

    def assignment(
        self, model: str, version: str = "", *, omit_nodes: bool = False, **options: Unpack[CallOptions]
    ) -> provider_reflection_pb2.Assignment:
        """All that is known of one version: requested chain, attempts, nodes, verdict."""
        return self._call(calls.assignment(model, version, omit_nodes=omit_nodes), options)

    def watch(
        self, model: str = "", **options: Unpack[CallOptions]
    ) -> Generator[provider_reflection_pb2.AssignmentSummary, None, None]:
        """First the present state of each version, then every change, until the iterator is closed.

        The one call without a deadline, unless it is given one: it is there to wait. Pings find out a server that
        hangs.
        """
        call = calls.watch(model)
        method: grpc.UnaryStreamMultiCallable[bytes, bytes] = self._channel.unary_stream(call.method)
        messages = method(call.request, timeout=options.get("timeout_s"), metadata=self._pairs(options))
        try:
            for message in messages:
                yield call.read(message)
        except grpc.RpcError as error:
            raise self._error(error, call.about) from error
        finally:
            messages.cancel()

    def plan(
        self,
        model: str,
        version: str = "",
        *,
        chain: Iterable[str | provider_reflection_pb2.Rung] = (),
        omit_nodes: bool = False,
        **options: Unpack[CallOptions],
    ) -> provider_reflection_pb2.Assignment:
        """Opens a model of the server's repository on a chain without serving it, and says what came of it.

        `chain` is of short names or of rungs with options; empty: the model's own. Costs a load.
        """
        return self._call(calls.plan(model, version, chain, omit_nodes=omit_nodes), options)

    def _infer_call(  # noqa: PLR0913 (what one inference can say)
        self,
        model: str,
        inputs: Mapping[str, ArrayLike],
        version: str,
        outputs: Outputs,
        request_id: str,
        options: CallOptions,
    ) -> calls.Call[_Arrays]:
        arrays = as_arrays(inputs, model)
        declared = self._declared(model, version, options) if may_be_bf16(arrays) else {}
        return calls.infer(model, arrays, version, outputs, request_id, declared, self._regions)

    def _declared(self, model: str, version: str, options: CallOptions) -> Mapping[str, str]:
        known = self._datatypes.get((model, version))
        if known is not None:
            return known
        return self._remember(model, version, self.metadata(model, version, **options))

    def _method(self, name: str) -> "grpc.UnaryUnaryMultiCallable[bytes, bytes]":
        method = self._methods.get(name)
        if method is None:
            method = self._methods[name] = self._channel.unary_unary(name)
        return method

    def _call(self, call: calls.Call[_Result], options: CallOptions) -> _Result:
        try:
            data = self._method(call.method)(
                call.request, timeout=self._timeout_s(options), metadata=self._pairs(options)
            )
        except grpc.RpcError as error:
            raise self._error(error, call.about) from error
        return call.read(data)
