"""A real gRPC server with canned answers: what the client and the commands are tested against.

Models: `echo` answers each input as an output of the same name; `simple` adds two INT32 tensors; `words` answers
text. All else is NOT_FOUND. A stream answers each item, or its error in-band.
"""

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Self

import grpc
import numpy as np
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import Int32Value, StringValue

from ortolan.inference import inference_pb2 as v2
from ortolan.inference import model_config_pb2
from ortolan.v1 import provider_reflection_pb2 as reflection

SERVED = {
    "echo": ([("x", "BF16", [-1]), ("count", "UINT16", [-1])], [("x", "BF16", [-1]), ("count", "UINT16", [-1])]),
    "simple": ([("INPUT0", "INT32", [-1, 4]), ("INPUT1", "INT32", [-1, 4])], [("SUM", "INT32", [-1, 4])]),
    "words": ([("text", "BYTES", [-1, 1])], [("label", "BYTES", [-1]), ("score", "FP32", [-1, 2])]),
}
HEALTH = {"": 2, "simple": 1, "words": 0, "later": 9}


class Refused(Exception):
    """Ends a call with a status."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details


@dataclass
class CannedServer:
    """Answers on a port of its own.

    `requests` keeps what came, and `beside` the metadata of each; `failures` are the answers to the next calls, and
    `failure` to all after them; `came` is set by the first unary call; while `answering` is clear, they wait. `serving`
    is what clients that balance hear of its health.
    """

    max_message_bytes: int = 4 * 1024 * 1024
    credentials: grpc.ServerCredentials | None = None
    assignments: list[reflection.Assignment] = field(default_factory=list)
    summaries: list[reflection.AssignmentSummary] = field(default_factory=list)
    changes: queue.SimpleQueue[reflection.AssignmentSummary | None] = field(default_factory=queue.SimpleQueue)
    requests: list[Any] = field(default_factory=list)
    beside: list[dict[str, str | bytes]] = field(default_factory=list)
    failures: list[Refused] = field(default_factory=list)
    failure: Refused | None = None
    serving: bool = True
    came: threading.Event = field(default_factory=threading.Event)
    answering: threading.Event = field(default_factory=threading.Event)
    stream_ended: queue.SimpleQueue[str] = field(default_factory=queue.SimpleQueue)

    def __post_init__(self) -> None:
        sizes = [("grpc.max_receive_message_length", self.max_message_bytes)]
        self._over = threading.Event()
        self._server = grpc.server(ThreadPoolExecutor(8), options=sizes)
        self._server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler("inference.GRPCInferenceService", self._inference()),
                grpc.method_handlers_generic_handler("ortolan.v1.ProviderReflection", self._reflection()),
                grpc.method_handlers_generic_handler(
                    "grpc.health.v1.Health", {"Check": self._unary(StringValue, self.health), "Watch": self._watch()}
                ),
            )
        )
        if self.credentials is None:
            port = self._server.add_insecure_port("127.0.0.1:0")
        else:
            port = self._server.add_secure_port("127.0.0.1:0", self.credentials)
        self.address = f"127.0.0.1:{port}"

    def __enter__(self) -> Self:
        self.answering.set()
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.changes.put(None)
        self.answering.set()
        self._over.set()
        self._server.stop(grace=None).wait()

    def _unary(
        self, request_type: type[Message], answer: Callable[[Any], Message]
    ) -> "grpc.RpcMethodHandler[Any, Any]":
        def behaviour(request: Message, context: grpc.ServicerContext) -> Message:
            self.requests.append(request)
            self.came.set()
            self.beside.append(dict(context.invocation_metadata()))
            self.answering.wait(20)
            try:
                if (failure := self.failures.pop(0) if self.failures else self.failure) is not None:
                    raise failure
                return answer(request)
            except Refused as refused:
                context.abort(refused.code, refused.details)

        return grpc.unary_unary_rpc_method_handler(
            behaviour, request_type.FromString, lambda message: message.SerializeToString()
        )

    def _inference(self) -> "dict[str, grpc.RpcMethodHandler[Any, Any]]":
        return {
            "ServerLive": self._unary(v2.ServerLiveRequest, lambda _: v2.ServerLiveResponse(live=True)),
            "ServerReady": self._unary(v2.ServerReadyRequest, lambda _: v2.ServerReadyResponse(ready=False)),
            "ModelReady": self._unary(v2.ModelReadyRequest, self.model_ready),
            "ServerMetadata": self._unary(
                v2.ServerMetadataRequest, lambda _: v2.ServerMetadataResponse(name="ortolan", version="9.9")
            ),
            "ModelMetadata": self._unary(v2.ModelMetadataRequest, self.metadata),
            "ModelInfer": self._unary(v2.ModelInferRequest, infer),
            "ModelStreamInfer": grpc.stream_stream_rpc_method_handler(
                self.stream, v2.ModelInferRequest.FromString, v2.ModelStreamInferResponse.SerializeToString
            ),
            "ModelConfig": self._unary(v2.ModelConfigRequest, config),
            "ModelStatistics": self._unary(v2.ModelStatisticsRequest, statistics),
            "RepositoryIndex": self._unary(v2.RepositoryIndexRequest, index),
            "RepositoryModelLoad": self._unary(v2.RepositoryModelLoadRequest, refuse_control),
            "RepositoryModelUnload": self._unary(
                v2.RepositoryModelUnloadRequest, lambda _: v2.RepositoryModelUnloadResponse()
            ),
        }

    def _reflection(self) -> "dict[str, grpc.RpcMethodHandler[Any, Any]]":
        return {
            "GetServer": self._unary(reflection.GetServerRequest, lambda _: SERVER),
            "ListProviders": self._unary(reflection.ListProvidersRequest, providers),
            "ListAssignments": self._unary(
                reflection.ListAssignmentsRequest,
                lambda _: reflection.ListAssignmentsResponse(assignments=self.summaries),
            ),
            "GetAssignment": self._unary(reflection.GetAssignmentRequest, self.assignment),
            "WatchAssignments": grpc.unary_stream_rpc_method_handler(
                self.watch,
                reflection.WatchAssignmentsRequest.FromString,
                reflection.WatchAssignmentsResponse.SerializeToString,
            ),
            "PlanAssignment": self._unary(reflection.PlanAssignmentRequest, plan),
        }

    def _watch(self) -> "grpc.RpcMethodHandler[Any, Any]":
        def behaviour(_: StringValue, context: grpc.ServicerContext) -> Iterator[Int32Value]:
            yield Int32Value(value=1 if self.serving else 2)
            context.add_callback(self._over.set)
            self._over.wait()

        return grpc.unary_stream_rpc_method_handler(
            behaviour, StringValue.FromString, lambda message: message.SerializeToString()
        )

    def health(self, request: StringValue) -> Int32Value:
        if request.value not in HEALTH:
            raise Refused(grpc.StatusCode.NOT_FOUND, "unknown service")
        return Int32Value(value=HEALTH[request.value])

    def model_ready(self, request: v2.ModelReadyRequest) -> v2.ModelReadyResponse:
        require(request.name)
        return v2.ModelReadyResponse(ready=request.version in ("", "1"))

    def metadata(self, request: v2.ModelMetadataRequest) -> v2.ModelMetadataResponse:
        require(request.name)
        inputs, outputs = SERVED[request.name]
        response = v2.ModelMetadataResponse(name=request.name, versions=["1"], platform="onnxruntime_onnx")
        for name, datatype, shape in inputs:
            response.inputs.add(name=name, datatype=datatype, shape=shape)
        for name, datatype, shape in outputs:
            response.outputs.add(name=name, datatype=datatype, shape=shape)
        response.properties.update(PROPERTIES)
        return response

    def stream(
        self, requests: Iterator[v2.ModelInferRequest], context: grpc.ServicerContext
    ) -> Iterator[v2.ModelStreamInferResponse]:
        context.add_callback(lambda: self.stream_ended.put("ended"))
        for request in requests:
            self.requests.append(request)
            try:
                yield v2.ModelStreamInferResponse(infer_response=infer(request))
            except Refused as refused:
                yield v2.ModelStreamInferResponse(
                    error_message=refused.details, infer_response=v2.ModelInferResponse(id=request.id)
                )

    def assignment(self, request: reflection.GetAssignmentRequest) -> reflection.GetAssignmentResponse:
        for assignment in self.assignments:
            if assignment.model == request.model:
                return reflection.GetAssignmentResponse(assignment=assignment)
        raise Refused(grpc.StatusCode.NOT_FOUND, f"no model {request.model!r}")

    def watch(
        self, request: reflection.WatchAssignmentsRequest, context: grpc.ServicerContext
    ) -> Iterator[reflection.WatchAssignmentsResponse]:
        self.requests.append(request)
        context.add_callback(lambda: self.stream_ended.put("ended"))
        for summary in self.summaries:
            yield reflection.WatchAssignmentsResponse(assignment=summary)
        while (change := self.changes.get()) is not None:
            yield reflection.WatchAssignmentsResponse(assignment=change)


SERVER = reflection.GetServerResponse(
    version="9.9.0",
    onnxruntime_version="1.32.0",
    onnxruntime_package="onnxruntime",
    host="bench-1",
    limits=reflection.Limits(max_message_bytes=4 * 1024 * 1024, default_deadline_seconds=30),
)
SERVER.started_at.FromJsonString("2026-01-02T03:04:05Z")
PROPERTIES = {"ortolan.provider": "cuda", "ortolan.verdict": "KEPT", "ortolan.nodes": "cuda: 52, cpu: 3"}


def require(model: str) -> None:
    if model not in SERVED:
        raise Refused(grpc.StatusCode.NOT_FOUND, f"no model {model!r}; this server has: echo, simple, words")


def infer(request: v2.ModelInferRequest) -> v2.ModelInferResponse:
    require(request.model_name)
    response = v2.ModelInferResponse(model_name=request.model_name, model_version="1", id=request.id)
    raws = list(request.raw_input_contents)
    if request.model_name == "simple":
        if [tensor.datatype for tensor in request.inputs] != ["INT32", "INT32"]:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "input 'INPUT0' of model 'simple' takes INT32")
        left, right = (np.frombuffer(raw, "<i4") for raw in raws)
        response.outputs.add(name="SUM", datatype="INT32", shape=request.inputs[0].shape)
        response.raw_output_contents.append((left + right).astype("<i4").tobytes())
    elif request.model_name == "words":
        response.outputs.add(name="label", datatype="BYTES", shape=[2])
        response.raw_output_contents.append(b"\x06\x00\x00\x00python\x03\x00\x00\x00\xff\xfeB")
        response.outputs.add(name="score", datatype="FP32", shape=[1, 2])
        response.raw_output_contents.append(np.array([[0.25, np.nan]], "<f4").tobytes())
    else:
        wanted = {output.name for output in request.outputs}
        for tensor, raw in zip(request.inputs, raws, strict=True):
            if not wanted or tensor.name in wanted:
                response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
                response.raw_output_contents.append(raw)
    return response


def config(request: v2.ModelConfigRequest) -> v2.ModelConfigResponse:
    require(request.name)
    return v2.ModelConfigResponse(config=model_config_pb2.ModelConfig(name=request.name, backend="onnxruntime"))


def statistics(request: v2.ModelStatisticsRequest) -> v2.ModelStatisticsResponse:
    names = [request.name] if request.name else SERVED
    return v2.ModelStatisticsResponse(model_stats=[v2.ModelStatistics(name=name, version="1") for name in names])


def index(request: v2.RepositoryIndexRequest) -> v2.RepositoryIndexResponse:
    models = [v2.RepositoryIndexResponse.ModelIndex(name=name, version="1", state="READY") for name in SERVED]
    if not request.ready:
        models.append(v2.RepositoryIndexResponse.ModelIndex(name="gone", version="1", state="FAILED", reason="no file"))
    return v2.RepositoryIndexResponse(models=models)


def refuse_control(request: v2.RepositoryModelLoadRequest) -> Message:
    raise Refused(grpc.StatusCode.PERMISSION_DENIED, "loading is off; switch it on with --allow-control")


def providers(request: reflection.ListProvidersRequest) -> reflection.ListProvidersResponse:
    known = [reflection.Provider(name=name) for name in ("cpu", "cuda")]
    return reflection.ListProvidersResponse(
        providers=[provider for provider in known if not request.names or provider.name in request.names]
    )


def plan(request: reflection.PlanAssignmentRequest) -> reflection.PlanAssignmentResponse:
    return reflection.PlanAssignmentResponse(
        assignment=reflection.Assignment(model=request.model, version=request.version, chain=request.chain)
    )
