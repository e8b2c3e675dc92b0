"""The counts of several sessions as those of one."""

from ortolan_server.engine.combining import combined
from ortolan_server.engine.statistics import Statistics
from ortolan_server.errors import Overloaded


def fed(*, rows: int, run_s: float, failures: int) -> Statistics:
    statistics = Statistics()
    statistics.record_run(calls=2, rows=rows, decode_s=0.25, queue_s=0.5, batch_s=0.125, run_s=run_s, inline=False)
    for _ in range(2):
        statistics.record_success(batch_rows=rows, encode_s=0.5, total_s=1.0)
    for _ in range(failures):
        statistics.record_failure(Overloaded("full"), total_s=0.5)
    return statistics


def test_one_alone_stays_as_it_is() -> None:
    snapshot = fed(rows=4, run_s=1.0, failures=1).snapshot()
    assert combined([snapshot]) == snapshot


def test_several_are_added_up() -> None:
    first, second = fed(rows=4, run_s=1.0, failures=1).snapshot(), fed(rows=8, run_s=2.0, failures=2).snapshot()
    both = combined([first, second])
    assert (both.inference_count, both.execution_count) == (12, 2)
    assert (both.success.count, both.fail.count, both.failures) == (4, 3, {Overloaded: 3})
    assert both.compute_infer.ns == first.compute_infer.ns + second.compute_infer.ns == 6_000_000_000
    assert both.stages.run.count == 2
    assert sum(both.latencies) == 4
    assert [(batch.batch_size, batch.compute_infer.count) for batch in both.batches] == [(4, 1), (8, 1)]
    assert combined([first, first]).batches[0].compute_infer.count == 2
    assert both.last_inference_ms == second.last_inference_ms
