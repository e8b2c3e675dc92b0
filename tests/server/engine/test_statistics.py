import time
from concurrent.futures import ThreadPoolExecutor

from ortolan_server.engine.statistics import LATENCY_BOUNDS_S, BatchStatistics, Duration, Stages, Statistics
from ortolan_server.errors import Overloaded


def record_run(statistics: Statistics, *, rows: int = 1, calls: int = 1, seconds: float = 0.0) -> None:
    statistics.record_run(
        calls=calls, rows=rows, decode_s=seconds, queue_s=seconds, batch_s=seconds, run_s=seconds, inline=False
    )


def test_nothing_yet() -> None:
    snapshot = Statistics().snapshot()
    assert snapshot.last_inference_ms == snapshot.inference_count == snapshot.execution_count == 0
    assert snapshot.success == snapshot.fail == snapshot.queue == Duration()
    assert snapshot.stages == Stages(*[Duration()] * 6)
    assert snapshot.batches == ()
    assert not snapshot.inline


def test_runs_successes_and_failures_add_up() -> None:
    statistics = Statistics()
    before_ms = time.time_ns() // 1_000_000
    # Three calls joined, of which two are answered so far.
    statistics.record_run(calls=3, rows=4, decode_s=6e-3, queue_s=2e-3, batch_s=1e-3, run_s=3e-3, inline=True)
    statistics.record_success(batch_rows=4, encode_s=4e-3, total_s=11e-3)
    statistics.record_success(batch_rows=4, encode_s=2e-3, total_s=9e-3)
    statistics.record_run(calls=1, rows=1, decode_s=1e-3, queue_s=0.0, batch_s=0.0, run_s=5e-3, inline=False)
    statistics.record_failure(Overloaded(), total_s=7e-3)
    statistics.record_send(3e-3)
    snapshot = statistics.snapshot()
    assert before_ms <= snapshot.last_inference_ms <= time.time_ns() // 1_000_000
    assert (snapshot.inference_count, snapshot.execution_count) == (5, 2)
    assert snapshot.success == Duration(2, 20_000_000)
    assert snapshot.fail == Duration(1, 7_000_000)
    assert snapshot.failures == {Overloaded: 1}
    # 9 ms and 11 ms: up to 10 and up to 25.
    assert {bound: count for bound, count in zip(LATENCY_BOUNDS_S, snapshot.latencies, strict=False) if count} == {
        0.01: 1,
        0.025: 1,
    }
    assert snapshot.queue == Duration(4, 2_000_000)
    # As Triton counts: each call has the whole of its batch.
    assert snapshot.compute_input == Duration(4, (6 + 3 * 1 + 1) * 1_000_000)
    assert snapshot.compute_infer == Duration(4, (3 * 3 + 5) * 1_000_000)
    assert snapshot.compute_output == Duration(2, 6_000_000)
    assert snapshot.batches == (
        BatchStatistics(1, Duration(1, 1_000_000), Duration(1, 5_000_000), Duration(1, 0)),
        BatchStatistics(4, Duration(1, 7_000_000), Duration(1, 3_000_000), Duration(1, 6_000_000)),
    )
    assert snapshot.stages == Stages(
        decode=Duration(4, 7_000_000),
        queue=Duration(4, 2_000_000),
        batch=Duration(2, 1_000_000),
        run=Duration(2, 8_000_000),
        encode=Duration(2, 6_000_000),
        send=Duration(1, 3_000_000),
    )
    assert (snapshot.inline, snapshot.inline_execution_count) == (False, 1)


def test_snapshot_stays_as_it_is() -> None:
    statistics = Statistics()
    before = statistics.snapshot()
    statistics.record_failure(Overloaded(), total_s=1.0)
    assert before.fail == Duration()


def test_a_latency_counts_up_to_its_bound_and_above_the_last_too() -> None:
    statistics = Statistics()
    for total_s in (0.0, LATENCY_BOUNDS_S[0], LATENCY_BOUNDS_S[-1], LATENCY_BOUNDS_S[-1] + 1e-6):
        statistics.record_success(batch_rows=1, encode_s=0.0, total_s=total_s)
    latencies = statistics.snapshot().latencies
    assert (latencies[0], latencies[-2], latencies[-1], sum(latencies)) == (2, 1, 1, 4)


def test_batch_sizes_from_callers_do_not_fill_the_memory() -> None:
    statistics = Statistics()
    for rows in range(1000):
        record_run(statistics, rows=rows)
        statistics.record_success(batch_rows=rows, encode_s=0.0, total_s=0.0)
    snapshot = statistics.snapshot()
    assert [batch.batch_size for batch in snapshot.batches] == list(range(256))
    assert snapshot.execution_count == snapshot.compute_output.count == 1000


def test_threads_lose_no_count() -> None:
    statistics = Statistics()

    def record(_: int) -> None:
        for _ in range(500):
            record_run(statistics, seconds=1e-9)
            statistics.record_success(batch_rows=1, encode_s=1e-9, total_s=3e-9)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(record, range(4)))
    snapshot = statistics.snapshot()
    assert snapshot.success == Duration(2000, 6000)
    assert snapshot.queue == snapshot.compute_infer == snapshot.compute_output == Duration(2000, 2000)
