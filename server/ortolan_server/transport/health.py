"""`grpc.health.v1`, kept in step with the models.

`""` and the inference service stand for the server, `<model>` and `<model>/<version>` say whether they serve,
`<model>#contract` whether its contract is kept: the protocol has no word for DEGRADED.
"""

import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_health.v1 import health, health_pb2

from ortolan.inference import inference_pb2
from ortolan_server.lifecycle.manager import ModelManager
from ortolan_server.lifecycle.model import Model
from ortolan_server.lifecycle.states import State
from ortolan_server.lifecycle.version import ModelVersion
from ortolan_server.services.metadata import MetadataService

__all__ = ["Health"]

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_INFERENCE = inference_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name


class _Servicer(health.HealthServicer):
    """The official one, which leaves callers without a word on why there is no answer."""

    @property
    def is_watched(self) -> bool:
        return any(list(self._send_response_callbacks.values()))  # type: ignore[attr-defined] # its stubs lack it

    def Check(  # noqa: N802 (gRPC's name)
        self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext
    ) -> health_pb2.HealthCheckResponse:
        answer = super().Check(request, context)
        if not answer.status:
            context.set_details(f"no service {request.service!r}: ask for MODEL, MODEL/VERSION, MODEL#contract or ''")
        return answer


class Health:
    """Sets the official servicer's statuses; its Watch holds no thread."""

    def __init__(self, manager: ModelManager, metadata: MetadataService, threads: ThreadPoolExecutor) -> None:
        self.servicer = _Servicer(experimental_thread_pool=threads)
        self._manager = manager
        self._metadata = metadata
        # Changes come from several threads: what is set last must be what was read last.
        self._lock = threading.Lock()
        self._shown: dict[str, bool] = {}
        self._stopped = False
        self._set_server()

    def follow(self) -> None:
        """Shows every model as it is now, then every change."""
        self._manager.subscribe(self._changed)
        self._manager.subscribe_removals(self._removed)
        with self._lock:
            for model in self._manager.models:
                self._set_model(model)
            for version in self._manager.versions:
                self._set_version(version)
            self._set_server()

    @property
    def serving(self) -> bool:
        """What `""` says."""
        return self._shown.get("", False) and not self._stopped

    @property
    def is_watched(self) -> bool:
        """Whether a client would hear of a change, and send its calls elsewhere."""
        return self.servicer.is_watched

    def stop(self) -> None:
        """All NOT_SERVING, for good."""
        self._stopped = True
        self.servicer.enter_graceful_shutdown()

    def _changed(self, version: ModelVersion) -> None:
        with self._lock:
            self._set_version(version)
            self._set_model(self._manager.model(version.model))
            self._set_server()

    def _removed(self, name: str) -> None:
        with self._lock:
            for service in (name, f"{name}#contract"):
                self._set(service, serves=False)
            self._set_server()

    def _set_version(self, version: ModelVersion) -> None:
        self._set(f"{version.model}/{version.version}", serves=version.serves)

    def _set_model(self, model: Model) -> None:
        serving = model.serving
        self._set(model.entry.name, serves=serving is not None)
        self._set(f"{model.entry.name}#contract", serves=serving is not None and serving.state is State.READY)

    def _set_server(self) -> None:
        for service in ("", _INFERENCE):
            self._set(service, serves=self._metadata.ready)

    def _set(self, service: str, *, serves: bool) -> None:
        if self._shown.get(service) is not serves:  # the servicer would send the same again to who watches
            self._shown[service] = serves
            self.servicer.set(service, _SERVING if serves else _NOT_SERVING)
