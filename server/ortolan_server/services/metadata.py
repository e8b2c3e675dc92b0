"""Liveness, readiness, metadata and configuration of the Open Inference Protocol."""

from collections.abc import Sequence

from ortolan.inference import inference_pb2 as pb
from ortolan.inference import model_config_pb2 as config_pb
from ortolan_server.errors import ModelNotReady
from ortolan_server.lifecycle.manager import ModelManager
from ortolan_server.lifecycle.version import ModelVersion
from ortolan_server.repository import Batching
from ortolan_server.services.reports import properties
from ortolan_server.tensors import TensorSpec

__all__ = ["EXTENSIONS", "MetadataService"]

SERVER_NAME = "ortolan"
PLATFORM = "onnxruntime_onnx"
# Only what works here: clients act on each of them.
EXTENSIONS = (
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "parameters",
    "statistics",
)
SHARED_MEMORY = "system_shared_memory"


class MetadataService:
    """Request message in, response message out, or a domain error."""

    def __init__(
        self,
        manager: ModelManager,
        *,
        version: str,
        ready_when_empty: bool,
        shared_memory: bool = False,
    ) -> None:
        self._manager = manager
        self._version = version
        self._ready_when_empty = ready_when_empty
        self._extensions = (*EXTENSIONS, SHARED_MEMORY) if shared_memory else EXTENSIONS

    @property
    def ready(self) -> bool:
        """Does every required model serve? Of an empty repository the settings say it."""
        return self._ready_when_empty if self._manager.empty else self._manager.ready

    def server_live(self, _request: pb.ServerLiveRequest) -> pb.ServerLiveResponse:
        return pb.ServerLiveResponse(live=True)

    def server_ready(self, _request: pb.ServerReadyRequest) -> pb.ServerReadyResponse:
        return pb.ServerReadyResponse(ready=self.ready)

    def model_ready(self, request: pb.ModelReadyRequest) -> pb.ModelReadyResponse:
        """Raises ModelNotFound for a model or version that is not there at all."""
        try:
            ready = self._manager.known(request.name, request.version).serves
        except ModelNotReady:
            ready = False
        return pb.ModelReadyResponse(ready=ready)

    def server_metadata(self, _request: pb.ServerMetadataRequest) -> pb.ServerMetadataResponse:
        return pb.ServerMetadataResponse(name=SERVER_NAME, version=self._version, extensions=self._extensions)

    def model_metadata(self, request: pb.ModelMetadataRequest) -> pb.ModelMetadataResponse:
        version = self._manager.known(request.name, request.version)
        signature = version.signature
        return pb.ModelMetadataResponse(
            name=version.model,
            versions=[
                str(number)
                for number, other in sorted(self._manager.model(version.model).versions.items())
                if other.serves
            ],
            platform=PLATFORM,
            inputs=_tensors(signature.inputs),
            outputs=_tensors(signature.outputs),
            properties=dict(properties(version)),
        )

    def model_config(self, request: pb.ModelConfigRequest) -> pb.ModelConfigResponse:
        version = self._manager.known(request.name, request.version)
        signature = version.signature
        batching = version.config.batching
        first = 1 if batching else 0
        return pb.ModelConfigResponse(
            config=config_pb.ModelConfig(
                name=version.model,
                platform=PLATFORM,
                backend="onnxruntime",
                version_policy=_policy(version),
                # Clients take a size above 0 for a batch dimension that the shapes here leave out.
                max_batch_size=batching.max_size if batching else 0,
                dynamic_batching=_dynamic_batching(batching),
                input=[
                    config_pb.ModelInput(name=spec.name, data_type=_data_type(spec), dims=_dims(spec)[first:])
                    for spec in signature.inputs
                ],
                output=[
                    config_pb.ModelOutput(name=spec.name, data_type=_data_type(spec), dims=_dims(spec)[first:])
                    for spec in signature.outputs
                ],
                instance_group=[
                    config_pb.ModelInstanceGroup(
                        name=version.model,
                        count=version.config.limits.concurrency,
                        kind=config_pb.ModelInstanceGroup.KIND_AUTO,
                    )
                ],
                default_model_filename=version.path.name,
                parameters={
                    key: config_pb.ModelParameter(string_value=value) for key, value in properties(version).items()
                },
                model_transaction_policy=config_pb.ModelTransactionPolicy(decoupled=False),
            )
        )


def _tensors(specs: Sequence[TensorSpec]) -> list[pb.ModelMetadataResponse.TensorMetadata]:
    return [
        pb.ModelMetadataResponse.TensorMetadata(name=spec.name, datatype=spec.datatype, shape=_dims(spec))
        for spec in specs
    ]


def _dims(spec: TensorSpec) -> list[int]:
    """-1 for what may vary; a tensor of any rank shows as [-1]: the protocol has no word for it."""
    if spec.shape is None:
        return [-1]
    return [size if isinstance(size, int) else -1 for size in spec.shape]


def _data_type(spec: TensorSpec) -> config_pb.DataType.ValueType:
    name = "STRING" if spec.datatype == "BYTES" else spec.datatype
    return config_pb.DataType.Value(f"TYPE_{name}")


def _dynamic_batching(batching: Batching | None) -> config_pb.ModelDynamicBatching | None:
    if batching is None:
        return None
    return config_pb.ModelDynamicBatching(
        preferred_batch_size=batching.preferred_sizes, max_queue_delay_microseconds=round(batching.max_delay_ms * 1000)
    )


def _policy(version: ModelVersion) -> config_pb.ModelVersionPolicy:
    policy = version.config.versions
    if policy.all:
        return config_pb.ModelVersionPolicy(all=config_pb.ModelVersionPolicy.All())
    if policy.specific is not None:
        return config_pb.ModelVersionPolicy(specific=config_pb.ModelVersionPolicy.Specific(versions=policy.specific))
    return config_pb.ModelVersionPolicy(latest=config_pb.ModelVersionPolicy.Latest(num_versions=policy.latest or 1))
