"""What happened to a version, as messages of `ortolan.v1` and as metrics."""

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from ortolan.v1 import findings_pb2 as pb
from ortolan_server.lifecycle.history import Event, EventKind
from ortolan_server.lifecycle.version import ModelVersion

__all__ = ["event_message", "event_metrics"]

_VERSION = ("model", "version")


def event_message(event: Event) -> pb.Event:
    message = pb.Event(
        kind=pb.Event.Kind.Value(event.kind),
        reason=event.reason,
        from_rung=event.step.rung,
        to_rung=event.step.to_rung,
    )
    message.at.FromDatetime(event.at)
    return message


def event_metrics(versions: Iterable[ModelVersion]) -> Iterator[Metric]:
    """Counts of what happened, which a reload goes on with, and when the state last changed."""
    failures = CounterMetricFamily(
        "ortolan_device_failures",
        "Devices that failed, and runs that hung, under a version that served.",
        labels=(*_VERSION, "provider"),
    )
    labels = (*_VERSION, "from_provider", "to_provider")
    failovers = CounterMetricFamily("ortolan_failovers", "Times a lower rung took the place of one.", labels=labels)
    recoveries = CounterMetricFamily("ortolan_recoveries", "Times a higher rung served again.", labels=labels)
    probes = CounterMetricFamily(
        "ortolan_recovery_probes_failed", "Times a rung that was lost was tried, and not fit yet.", labels=_VERSION
    )
    refused = CounterMetricFamily("ortolan_reloads_refused", "Newer loads that were not taken.", labels=_VERSION)
    hung = GaugeMetricFamily(
        "ortolan_hung_runs", "Runs that were given up and have not ended: each holds a thread.", labels=_VERSION
    )
    changed = GaugeMetricFamily(
        "ortolan_state_changed_timestamp_seconds",
        "When the state or the rung of a version last changed.",
        labels=_VERSION,
    )
    for version in versions:
        about = (version.model, version.version)
        for (kind, provider, to_provider), count in version.history.counts.items():
            match kind:
                case EventKind.DEVICE_FAILED:
                    failures.add_metric((*about, provider), count)
                case EventKind.FAILED_OVER:
                    failovers.add_metric((*about, provider, to_provider), count)
                case EventKind.RECOVERED:
                    recoveries.add_metric((*about, provider, to_provider), count)
                case _:
                    pass
        counts = version.history.totals
        probes.add_metric(about, counts[EventKind.PROBE_FAILED])
        refused.add_metric(about, counts[EventKind.RELOAD_REFUSED])
        hung.add_metric(about, version.lost_threads)
        if version.changed_at is not None:
            changed.add_metric(about, version.changed_at.timestamp())
    yield from (failures, failovers, recoveries, probes, refused, hung, changed)
