"""The counts of several sessions of one version, as those of one."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import fields
from itertools import groupby
from operator import attrgetter

from ortolan_server.engine.statistics import BatchStatistics, Duration, Snapshot, Stages
from ortolan_server.errors import OrtolanError

__all__ = ["combined"]


def combined(snapshots: Sequence[Snapshot]) -> Snapshot:
    """At least one. What is no sum (`inline`, `batching`) is that of the last."""
    *_, last = snapshots
    failures: Counter[type[OrtolanError]] = Counter()
    for each in snapshots:
        failures.update(each.failures)
    return Snapshot(
        last_inference_ms=max(each.last_inference_ms for each in snapshots),
        inference_count=sum(each.inference_count for each in snapshots),
        execution_count=sum(each.execution_count for each in snapshots),
        success=_sum(each.success for each in snapshots),
        fail=_sum(each.fail for each in snapshots),
        failures=dict(failures),
        latencies=tuple(map(sum, zip(*(each.latencies for each in snapshots), strict=True))),
        queue=_sum(each.queue for each in snapshots),
        compute_input=_sum(each.compute_input for each in snapshots),
        compute_infer=_sum(each.compute_infer for each in snapshots),
        compute_output=_sum(each.compute_output for each in snapshots),
        batches=_batches(snapshots),
        stages=Stages(*(_sum(getattr(each.stages, field.name) for each in snapshots) for field in fields(Stages))),
        inline=last.inline,
        inline_execution_count=sum(each.inline_execution_count for each in snapshots),
        batching=last.batching,
    )


def _sum(durations: Iterable[Duration]) -> Duration:
    counts, nanoseconds = zip(*((each.count, each.ns) for each in durations), strict=True)
    return Duration(sum(counts), sum(nanoseconds))


def _batches(snapshots: Sequence[Snapshot]) -> tuple[BatchStatistics, ...]:
    by_size = attrgetter("batch_size")
    all_of_them = sorted((batch for each in snapshots for batch in each.batches), key=by_size)
    return tuple(
        BatchStatistics(
            size,
            _sum(batch.compute_input for batch in same),
            _sum(batch.compute_infer for batch in same),
            _sum(batch.compute_output for batch in same),
        )
        for size, group in groupby(all_of_them, by_size)
        if (same := list(group))
    )
