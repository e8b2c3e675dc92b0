"""Builds everything from settings: the one place where the parts meet."""

import socket
import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from importlib.metadata import version

import structlog

from ortolan_backends.catalog import Catalog
from ortolan_backends.runtime.log import RuntimeLog
from ortolan_backends.runtime.wheel import require_one_wheel
from ortolan_server.allocation import Allocation
from ortolan_server.cache.cache import Cache
from ortolan_server.chains.budget import Budget
from ortolan_server.chains.registry import Registry
from ortolan_server.errors import CannotListen, InvalidConfig
from ortolan_server.lifecycle.change_log import log_change
from ortolan_server.lifecycle.manager import ModelManager
from ortolan_server.lifecycle.poller import Poller
from ortolan_server.repository import Repository
from ortolan_server.repository.uploads import Uploads
from ortolan_server.services.inference import InferenceService
from ortolan_server.services.metadata import MetadataService
from ortolan_server.services.metrics import Metrics
from ortolan_server.services.reflection import HostFacts, ReflectionService
from ortolan_server.services.repository import RepositoryService
from ortolan_server.services.shared_memory import SharedMemoryService
from ortolan_server.services.statistics import StatisticsService
from ortolan_server.settings import HTTP_OFF, Settings
from ortolan_server.shared_memory import Regions, require_shared_memory
from ortolan_server.transport.certificates import Certificate
from ortolan_server.transport.exposure import warn_of_exposure
from ortolan_server.transport.health import Health
from ortolan_server.transport.http import HttpServer
from ortolan_server.transport.lanes import fast_lane_works
from ortolan_server.transport.pools import CallPool
from ortolan_server.transport.server import GrpcServer
from ortolan_server.transport.status import code_name

__all__ = ["App"]

log = structlog.get_logger()

_HEALTH_THREADS = 8
_POLL_INTERVAL_S = 5.0


class App:
    """A server with its models. Building binds nothing and loads nothing. Raises InvalidConfig."""

    def __init__(
        self, settings: Settings, repository: Repository, runtime_log: RuntimeLog, allocation: Allocation
    ) -> None:
        package, runtime_version = require_one_wheel()
        ours = version("ortolan")
        cache = Cache(settings.cache_dir, settings.cache_size_bytes) if settings.cache_dir else None
        host_bytes = settings.memory_limit_bytes or allocation.memory_bytes
        self._registry = registry = Registry(
            Catalog.from_entry_points(),
            runtime_log,
            allow_degraded=settings.allow_degraded,
            cache=cache,
            budget=Budget(host_bytes, settings.device_memory_limit_bytes or 0),
        )
        self.manager = ModelManager(
            repository,
            registry,
            allocation,
            drain_timeout_s=settings.drain_timeout_s,
            initial=_initial(settings, repository),
        )
        regions = _regions(settings)
        self._uploads = Uploads(settings.max_load_bytes) if settings.model_control == "explicit" else None
        metadata = MetadataService(
            self.manager,
            version=ours,
            ready_when_empty=settings.ready_when_empty,
            shared_memory=settings.shared_memory,
        )
        self._poller = _poller(settings, repository, self.manager)
        self._lane = "fast" if settings.fast_lane and fast_lane_works() else "public"
        facts = HostFacts(ours, runtime_version, package, socket.gethostname(), datetime.now(UTC), self._lane)
        self._settings = settings
        inference = InferenceService(self.manager, settings.default_deadline_s, regions)
        self._health = Health(self.manager, metadata, CallPool(_HEALTH_THREADS, "health"))
        self._server = GrpcServer(
            settings,
            health=self._health,
            inference=inference,
            metadata=metadata,
            repository=RepositoryService(self.manager, refusal=settings.loading_refusal, uploads=self._uploads),
            statistics=StatisticsService(self.manager),
            shared_memory=SharedMemoryService(regions),
            reflection=ReflectionService(self.manager, registry, settings, facts),
            fast_lane=self._lane == "fast",
        )
        self._metrics = Metrics(
            self.manager,
            settings,
            facts,
            inference.rejections,
            code_of=code_name,
            occupancy=lambda: self._server.occupancy,
            serving=lambda: self._health.serving,
            cache=cache,
            budget=registry.budget,
        )
        self._http: HttpServer | None = None
        self.http_address = ""
        """Once it listens there; empty: nowhere."""

    def start(self) -> str:
        """Listens; no model serves yet. Returns the address. Raises CannotListen, and InvalidConfig for a file that a
        setting names.
        """
        address = self._server.start()
        try:
            self._start_http()
        except CannotListen:
            self._server.stop(0.0)
            raise
        warn_of_exposure(self._settings, address, self.http_address)
        log.info(
            "server_listening",
            address=address,
            http_address=self.http_address or HTTP_OFF,
            tls=self._settings.tls,
            tokens=self._settings.auth_tokens is not None,
            lane=self._lane,
        )
        self.manager.subscribe(log_change)
        self._health.follow()
        return address

    def _start_http(self) -> None:
        if self._settings.http_address != HTTP_OFF:
            http = HttpServer(self._settings.http_address, self._metrics.registry(), lambda: self._health.serving)
            self.http_address = http.start()
            self._http = http

    @property
    def certificate(self) -> Certificate | None:
        """The one that new connections get, once it listens; None without TLS."""
        return self._server.certificates.certificate if self._server.certificates else None

    @property
    def lost_devices(self) -> Mapping[str, str]:
        """Providers that only a new process gets back, by ONNX Runtime's name, and why."""
        return self._registry.losses.reasons

    def load(self) -> None:
        """Loads the models that are wanted at start, then follows the folder if told to. Ends early when it stops."""
        self.manager.load_all()
        models = list(self.manager.models)
        log.info("models_loaded", models=len(models), serving=sum(model.serving is not None for model in models))
        if self._poller is not None:
            self._poller.start()

    def stop(self) -> bool:
        """Drains: takes nothing new, finishes what is in flight, closes. False when a call outlived the time, or a run
        hangs.
        """
        log.info("server_draining", timeout_s=self._settings.drain_timeout_s)
        deadline_s = time.monotonic() + self._settings.drain_timeout_s
        if self._poller is not None:
            self._poller.stop(0.0)  # so that it begins nothing more
        self.manager.stop_loading()  # who waits for a load is answered, before the server waits for them
        finished = self._server.stop(self._settings.drain_timeout_s)
        hung = any(version.lost_threads for version in self.manager.versions)
        if self._poller is not None:
            finished &= self._poller.stop(max(0.0, deadline_s - time.monotonic()))
        self.manager.stop(0.0)
        if self._uploads is not None:
            self._uploads.close()
        if self._http is not None:
            self._http.stop()  # last: until then it tells that the server stops
        log.info("server_stopped", finished=finished)
        return finished and not hung


def _initial(settings: Settings, repository: Repository) -> Collection[str] | None:
    """The models that are loaded at start; None: all, as none are loaded on demand only.

    Raises InvalidConfig for one that is not there.
    """
    known = repository.models
    if settings.model_control != "explicit":
        return None
    if "*" in settings.load_models:
        return list(known)
    if missing := [name for name in settings.load_models if name not in known]:
        found = ", ".join(known) or "none"
        raise InvalidConfig(f"--load-model: no model {', '.join(missing)} in {repository.path}; it has: {found}")
    return settings.load_models


def _poller(settings: Settings, repository: Repository, manager: ModelManager) -> Poller | None:
    """None unless the server follows its folder."""
    if settings.model_control != "poll":
        return None
    return Poller(repository, manager, settings.poll_interval_s or _POLL_INTERVAL_S)


def _regions(settings: Settings) -> Regions | None:
    """None while shared memory is off. Raises InvalidConfig where there is none."""
    if not settings.shared_memory:
        return None
    require_shared_memory()
    return Regions(settings.shared_memory_bytes)
