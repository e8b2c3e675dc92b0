"""What the cache of compiled artefacts did, for Prometheus."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from ortolan_server.cache.cache import Cache

__all__ = ["cache_metrics"]


def cache_metrics(cache: Cache) -> Iterator[Metric]:
    uses = CounterMetricFamily(
        "ortolan_cache_requests",
        "Openings of sessions whose provider compiles, by what the cache had: HIT, MISS or STALE.",
        labels=("provider", "result"),
    )
    for (provider, result), count in cache.uses.items():
        uses.add_metric((provider, str(result)), count)
    yield uses
    text = "Entries that this process removed so that others fit."
    yield CounterMetricFamily("ortolan_cache_evictions", text, cache.evictions)
    yield GaugeMetricFamily("ortolan_cache_bytes", "Of what is kept, by all processes.", cache.size_bytes)
    yield GaugeMetricFamily("ortolan_cache_limit_bytes", "The most: --cache-size.", cache.limit_bytes)
