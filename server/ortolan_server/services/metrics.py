"""Metrics for Prometheus: made of what is known when they are asked for, so that they cost a call nothing."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version as version_of
from typing import NamedTuple

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
    StateSetMetricFamily,
)
from prometheus_client.registry import Collector

from ortolan_server.cache.cache import Cache
from ortolan_server.chains.budget import Budget
from ortolan_server.lifecycle.manager import ModelManager
from ortolan_server.lifecycle.states import State
from ortolan_server.services.cache_metrics import cache_metrics
from ortolan_server.services.events import event_metrics
from ortolan_server.services.memory_metrics import memory_metrics
from ortolan_server.services.reflection import HostFacts
from ortolan_server.services.rejections import Rejections
from ortolan_server.services.reports import node_shares
from ortolan_server.services.traffic_metrics import CodeOf, traffic
from ortolan_server.settings import Settings

__all__ = ["Metrics", "ServerOccupancy"]

_VERSION = ("model", "version")


class ServerOccupancy(NamedTuple):
    """What the whole server has in flight."""

    inferences: int
    """Unary ones."""
    streams: int
    bytes: int
    """Of request messages that are not answered."""


class Metrics(Collector):
    """A collector; `registry()` has it, and what is known of the process."""

    def __init__(  # noqa: PLR0913 - all that it tells of
        self,
        manager: ModelManager,
        settings: Settings,
        facts: HostFacts,
        rejections: Rejections,
        *,
        code_of: CodeOf,
        occupancy: Callable[[], ServerOccupancy],
        serving: Callable[[], bool],
        budget: Budget,
        cache: Cache | None = None,
    ) -> None:
        """`serving`: what the health service says of the whole server."""
        self._manager = manager
        self._settings = settings
        self._facts = facts
        self._rejections = rejections
        self._code_of = code_of
        self._occupancy = occupancy
        self._serving = serving
        self._budget = budget
        self._cache = cache
        self._grpcio_version = version_of("grpcio")  # looked up on disk

    def registry(self) -> CollectorRegistry:
        """Of our own: the library's has what other packages in this process put there."""
        registry = CollectorRegistry(auto_describe=True)
        registry.register(self)
        ProcessCollector(registry=registry)
        return registry

    def collect(self) -> Iterator[Metric]:
        yield from self._server()
        yield from self._limits()
        yield from self._models()
        yield from memory_metrics(self._budget)
        if self._cache is not None:
            yield from cache_metrics(self._cache)
        yield from event_metrics(self._manager.versions)
        yield from traffic(self._manager.versions, self._code_of)

    def _server(self) -> Iterator[Metric]:
        facts = self._facts
        build = {
            "version": facts.version,
            "onnxruntime": facts.onnxruntime_version,
            "onnxruntime_package": facts.onnxruntime_package,
            "grpcio": self._grpcio_version,
            "lane": facts.lane,
        }
        yield InfoMetricFamily("ortolan_build", "What serves: releases, and the lane that inferences take.", build)
        uptime_s = (datetime.now(UTC) - facts.started_at).total_seconds()
        yield GaugeMetricFamily("ortolan_uptime_seconds", "Since the server was built.", uptime_s)
        text = 'Whether every required model serves: what grpc.health.v1 says of "", and /readyz.'
        yield GaugeMetricFamily("ortolan_ready", text, self._serving())
        rejected = CounterMetricFamily(
            "ortolan_rejected_requests",
            "Inferences that came to no model's engine, by status code. They are not in ortolan_requests_total.",
            labels=("model", "code"),
        )
        sums: Counter[tuple[str, str]] = Counter()
        for (model, error), count in self._rejections.snapshot().items():
            sums[model, self._code_of(error)] += count
        for labels, count in sums.items():
            rejected.add_metric(labels, count)
        yield rejected

    def _limits(self) -> Iterator[Metric]:
        now, settings = self._occupancy(), self._settings
        most_bytes = max(settings.max_in_flight_bytes, settings.max_message_bytes)
        for name, text, value in (
            ("in_flight_requests", "Unary inferences in flight.", now.inferences),
            ("in_flight_requests_limit", "The most at once: --max-in-flight.", settings.max_in_flight),
            ("in_flight_bytes", "Bytes of request messages in flight, streams included.", now.bytes),
            ("in_flight_bytes_limit", "The most at once: --max-in-flight-size.", most_bytes),
            ("streams", "Inference streams that are open.", now.streams),
            ("streams_limit", "The most at once: --max-streams.", settings.max_streams),
        ):
            yield GaugeMetricFamily(f"ortolan_{name}", text, value)

    def _models(self) -> Iterator[Metric]:
        serving = GaugeMetricFamily(
            "ortolan_model_serving", "Whether a version of the model serves.", labels=("model", "required")
        )
        for model in self._manager.models:
            required = "true" if model.entry.config.required else "false"
            serving.add_metric((model.entry.name, required), model.serving is not None)
        state = StateSetMetricFamily("ortolan_model_state", "Where a version stands in its life.", labels=_VERSION)
        kept = GaugeMetricFamily(
            "ortolan_contract_kept", "Whether a version serves and its contract is kept.", labels=_VERSION
        )
        rung = GaugeMetricFamily(
            "ortolan_serving_rung",
            "The rung of its chain that a version serves on; 1 is the top, 0: it does not serve.",
            labels=(*_VERSION, "provider"),
        )
        share = GaugeMetricFamily(
            "ortolan_node_share_ratio",
            "Share of a model's nodes that ONNX Runtime gave to each provider.",
            labels=(*_VERSION, "provider"),
        )
        load = GaugeMetricFamily("ortolan_load_seconds", "How long the load of a version took.", labels=_VERSION)
        for version in self._manager.versions:
            labels = (version.model, version.version)
            now = version.state  # it may change meanwhile
            state.add_metric(labels, {str(each): each is now for each in State})
            kept.add_metric(labels, now is State.READY)
            report = version.report if now.serves else None
            rung.add_metric((*labels, report.provider if report else ""), report.rung if report else 0)
            for provider, ratio in node_shares(version).items():
                share.add_metric((*labels, provider), ratio)
            load.add_metric(labels, version.load_s)
        yield from (serving, state, kept, rung, share, load)
