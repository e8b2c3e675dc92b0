"""Metrics of the inferences of each model version, made of its statistics when they are asked for."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)

from ortolan_server.engine.statistics import LATENCY_BOUNDS_S, Snapshot, Stages
from ortolan_server.errors import OrtolanError
from ortolan_server.lifecycle.version import ModelVersion

__all__ = ["CodeOf", "traffic"]

CodeOf = Callable[[type[OrtolanError]], str]
"""The name of the status code that callers see."""

_LABELS = ("model", "version", "provider", "rung")
_NS = 1e9
_MS = 1e3
_BATCH_BOUNDS = tuple(2**power for power in range(11))
_STAGES = tuple(field.name for field in fields(Stages))


def traffic(versions: Iterable[ModelVersion], code_of: CodeOf) -> Iterator[Metric]:
    """Of each session that serves a version, or did."""
    families = _Families()
    for version in versions:
        for (provider, rung), statistics in list(version.by_seat.items()):
            labels = (version.model, version.version, provider, str(rung))
            families.add(labels, statistics.snapshot(), code_of)
            if statistics is version.statistics:
                families.add_occupancy(labels, version)
    yield from families.all


class _Families:
    def __init__(self) -> None:
        self.requests = CounterMetricFamily(
            "ortolan_requests",
            "Inferences that a model's engine took or refused, by the status code of their answer.",
            labels=(*_LABELS, "code"),
        )
        self.latency = HistogramMetricFamily(
            "ortolan_request_duration_seconds",
            "Inferences answered with a result, from the reading of the request to the writing of the response.",
            labels=_LABELS,
        )
        self.rows = CounterMetricFamily("ortolan_rows", "Rows inferred: sizes of the batch dimension.", labels=_LABELS)
        self.runs = CounterMetricFamily("ortolan_runs", "Runs of the session that gave a result.", labels=_LABELS)
        self.inline_runs = CounterMetricFamily(
            "ortolan_inline_runs",
            "Those of ortolan_runs_total that were made on the thread that received their calls.",
            labels=_LABELS,
        )
        self.batch_rows = HistogramMetricFamily(
            "ortolan_batch_rows", "Rows of each run, all its calls together.", labels=_LABELS
        )
        self.stages = SummaryMetricFamily(
            "ortolan_stage_duration_seconds",
            "Where the time of inferences went that gave a result: by calls; batch and run by runs.",
            labels=(*_LABELS, "stage"),
        )
        self.last = GaugeMetricFamily(
            "ortolan_last_inference_timestamp_seconds", "When the last run ended; 0: none yet.", labels=_LABELS
        )
        self.queued = _gauge("ortolan_queued_requests", "Inferences that wait for a run.")
        self.queued_limit = _gauge("ortolan_queued_requests_limit", "The most that may wait: `queue` in [limits].")
        self.queued_bytes = _gauge("ortolan_queued_bytes", "Bytes of inputs that wait for a run.")
        self.queued_bytes_limit = _gauge(
            "ortolan_queued_bytes_limit", "The most that may wait: `queue_size` in [limits]."
        )
        self.running = _gauge("ortolan_running_requests", "Inferences in the runs that are being made.")
        self.running_runs = _gauge("ortolan_running_runs", "Runs that are being made.")
        self.running_runs_limit = _gauge("ortolan_running_runs_limit", "The most at once: `concurrency` in [limits].")

    @property
    def all(self) -> list[Metric]:
        return [each for each in vars(self).values() if isinstance(each, Metric)]

    def add(self, labels: Sequence[str], counts: Snapshot, code_of: CodeOf) -> None:
        codes = Counter({"OK": counts.success.count})
        for error, count in counts.failures.items():
            codes[code_of(error)] += count
        for code, count in codes.items():
            self.requests.add_metric((*labels, code), count)
        self.latency.add_metric(labels, _buckets(LATENCY_BOUNDS_S, counts.latencies), sum_value=counts.success.ns / _NS)
        self.rows.add_metric(labels, counts.inference_count)
        self.runs.add_metric(labels, counts.execution_count)
        self.inline_runs.add_metric(labels, counts.inline_execution_count)
        self.batch_rows.add_metric(labels, _batch_buckets(counts), sum_value=counts.inference_count)
        for stage in _STAGES:
            spent = getattr(counts.stages, stage)
            self.stages.add_metric((*labels, stage), count_value=spent.count, sum_value=spent.ns / _NS)
        self.last.add_metric(labels, counts.last_inference_ms / _MS)

    def add_occupancy(self, labels: Sequence[str], version: ModelVersion) -> None:
        now, limits = version.occupancy, version.config.limits
        self.queued.add_metric(labels, now.waiting_calls)
        self.queued_limit.add_metric(labels, limits.queue)
        self.queued_bytes.add_metric(labels, now.waiting_bytes)
        self.queued_bytes_limit.add_metric(labels, limits.queue_size)
        self.running.add_metric(labels, now.running_calls)
        self.running_runs.add_metric(labels, now.running_runs)
        self.running_runs_limit.add_metric(labels, limits.concurrency)


def _gauge(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=_LABELS)


def _batch_buckets(counts: Snapshot) -> list[tuple[str, float]]:
    """Sizes beyond those that the statistics keep count as larger than all bounds."""
    runs = [0] * (len(_BATCH_BOUNDS) + 1)
    for batch in counts.batches:
        runs[bisect_left(_BATCH_BOUNDS, batch.batch_size)] += batch.compute_infer.count
    runs[-1] += counts.execution_count - sum(runs)
    return _buckets(_BATCH_BOUNDS, runs)


def _buckets(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    """Bounds as Prometheus wants them, each with all up to it; `counts` has one more, for what is above."""
    names = [*(str(float(bound)) for bound in bounds), "+Inf"]
    return list(zip(names, accumulate(counts), strict=True))
