"""`grpc.health.v1`, kept in step with the models.

`""` and the inference service stand for the server, `<model>` and `<model>/<version>` say whether they serve,
`<model>#contract` whether its contract is kept: the protocol has no word for DEGRADED.
"""

from concurrent.futures import ThreadPoolExecutor

from grpc_health.v1 import health, health_pb2

from ortolan.inference import inference_pb2
from ortolan_server.lifecycle.manager import ModelManager
from ortolan_server.lifecycle.states import State
from ortolan_server.lifecycle.version import ModelVersion
from ortolan_server.services.metadata import MetadataService

__all__ = ["Health"]

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_INFERENCE = inference_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name


class Health:
    """Sets the official servicer's statuses; its Watch holds no thread."""

    def __init__(self, manager: ModelManager, metadata: MetadataService, threads: ThreadPoolExecutor) -> None:
        self.servicer = health.HealthServicer(experimental_thread_pool=threads)
        self._manager = manager
        self._metadata = metadata
        self._set_server()

    def follow(self) -> None:
        """Shows every model as it is now, then every change."""
        for model in self._manager.models:
            self._set(model.entry.name, serves=False)
            self._set(f"{model.entry.name}#contract", serves=False)
        self._manager.subscribe(self._changed)
        self._set_server()

    def stop(self) -> None:
        """All NOT_SERVING, for good."""
        self.servicer.enter_graceful_shutdown()

    def _changed(self, version: ModelVersion) -> None:
        model = self._manager.model(version.model)
        serving = model.serving
        self._set(f"{version.model}/{version.version}", serves=version.serves)
        self._set(version.model, serves=serving is not None)
        self._set(f"{version.model}#contract", serves=serving is not None and serving.state is State.READY)
        self._set_server()

    def _set_server(self) -> None:
        for service in ("", _INFERENCE):
            self._set(service, serves=self._metadata.ready)

    def _set(self, service: str, *, serves: bool) -> None:
        self.servicer.set(service, _SERVING if serves else _NOT_SERVING)
