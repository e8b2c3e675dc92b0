"""The memory that sessions were opened within, for Prometheus."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from ortolan_server.chains.budget import Budget

__all__ = ["memory_metrics"]


def memory_metrics(budget: Budget) -> Iterator[Metric]:
    reserved = GaugeMetricFamily(
        "ortolan_memory_reserved_bytes",
        "What the sessions of a version count for, as estimated by the size of its files.",
        labels=("model", "version", "device"),
    )
    sums: Counter[tuple[str, str, str]] = Counter()
    for hold in budget.holds:
        for amount in hold.amounts:
            sums[hold.holder.model, hold.holder.version, amount.memory] += amount.bytes
    for labels, size in sums.items():
        reserved.add_metric(labels, size)
    yield reserved
    limit = GaugeMetricFamily(
        "ortolan_memory_limit_bytes",
        "The most that all of them may: --memory-limit, --device-memory-limit, or what is there.",
        labels=("device",),
    )
    for memory, size in budget.limits.items():
        limit.add_metric((memory,), size)
    yield limit
