"""ModelStatistics: counts and durations, as the engine keeps them."""

from ortolan.inference import inference_pb2 as pb
from ortolan_server.engine.combining import combined
from ortolan_server.engine.statistics import Duration, Snapshot
from ortolan_server.lifecycle.manager import ModelManager

__all__ = ["StatisticsService"]


class StatisticsService:
    """Request message in, response message out, or a domain error."""

    def __init__(self, manager: ModelManager) -> None:
        self._manager = manager

    def model_statistics(self, request: pb.ModelStatisticsRequest) -> pb.ModelStatisticsResponse:
        """Of the model and version named; of every one when none is. Raises ModelNotFound."""
        if request.name and request.version:
            versions = [self._manager.known(request.name, request.version)]
        elif request.name:
            versions = list(self._manager.model(request.name).versions.values())
        else:
            versions = self._manager.versions
        return pb.ModelStatisticsResponse(
            model_stats=[
                _message(version.model, version.version, combined(version.snapshots())) for version in versions
            ]
        )


def _message(model: str, version: str, counts: Snapshot) -> pb.ModelStatistics:
    return pb.ModelStatistics(
        name=model,
        version=version,
        last_inference=counts.last_inference_ms,
        inference_count=counts.inference_count,
        execution_count=counts.execution_count,
        inference_stats=pb.InferStatistics(
            success=_duration(counts.success),
            fail=_duration(counts.fail),
            queue=_duration(counts.queue),
            compute_input=_duration(counts.compute_input),
            compute_infer=_duration(counts.compute_infer),
            compute_output=_duration(counts.compute_output),
            cache_hit=pb.StatisticDuration(),
            cache_miss=pb.StatisticDuration(),
        ),
        batch_stats=[
            pb.InferBatchStatistics(
                batch_size=batch.batch_size,
                compute_input=_duration(batch.compute_input),
                compute_infer=_duration(batch.compute_infer),
                compute_output=_duration(batch.compute_output),
            )
            for batch in counts.batches
        ],
    )


def _duration(duration: Duration) -> pb.StatisticDuration:
    return pb.StatisticDuration(count=duration.count, ns=duration.ns)
