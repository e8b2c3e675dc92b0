import time
from concurrent.futures import ThreadPoolExecutor

from ortolan_server.engine.statistics import BatchStatistics, Duration, Statistics


def test_nothing_yet() -> None:
    snapshot = Statistics().snapshot()
    assert snapshot.last_inference_ms == snapshot.inference_count == snapshot.execution_count == 0
    assert snapshot.success == snapshot.fail == snapshot.queue == Duration()
    assert snapshot.batches == ()


def test_runs_successes_and_failures_add_up() -> None:
    statistics = Statistics()
    before_ms = time.time_ns() // 1_000_000
    statistics.record_run(rows=4, decode_s=1e-3, queue_s=2e-3, run_s=3e-3)
    statistics.record_success(rows=4, encode_s=4e-3, total_s=11e-3)
    statistics.record_run(rows=1, decode_s=1e-3, queue_s=0.0, run_s=5e-3)
    statistics.record_failure(total_s=7e-3)
    snapshot = statistics.snapshot()
    assert before_ms <= snapshot.last_inference_ms <= time.time_ns() // 1_000_000
    assert (snapshot.inference_count, snapshot.execution_count) == (5, 2)
    assert snapshot.success == Duration(1, 11_000_000)
    assert snapshot.fail == Duration(1, 7_000_000)
    assert snapshot.queue == Duration(2, 2_000_000)
    assert snapshot.compute_input == Duration(2, 2_000_000)
    assert snapshot.compute_infer == Duration(2, 8_000_000)
    assert snapshot.compute_output == Duration(1, 4_000_000)
    assert snapshot.batches == (
        BatchStatistics(1, Duration(1, 1_000_000), Duration(1, 5_000_000), Duration()),
        BatchStatistics(4, Duration(1, 1_000_000), Duration(1, 3_000_000), Duration(1, 4_000_000)),
    )


def test_snapshot_stays_as_it_is() -> None:
    statistics = Statistics()
    before = statistics.snapshot()
    statistics.record_failure(total_s=1.0)
    assert before.fail == Duration()


def test_batch_sizes_from_callers_do_not_fill_the_memory() -> None:
    statistics = Statistics()
    for rows in range(1000):
        statistics.record_run(rows=rows, decode_s=0.0, queue_s=0.0, run_s=0.0)
        statistics.record_success(rows=rows, encode_s=0.0, total_s=0.0)
    snapshot = statistics.snapshot()
    assert [batch.batch_size for batch in snapshot.batches] == list(range(256))
    assert snapshot.execution_count == snapshot.compute_output.count == 1000


def test_threads_lose_no_count() -> None:
    statistics = Statistics()

    def record(_: int) -> None:
        for _ in range(500):
            statistics.record_run(rows=1, decode_s=1e-9, queue_s=1e-9, run_s=1e-9)
            statistics.record_success(rows=1, encode_s=1e-9, total_s=3e-9)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(record, range(4)))
    snapshot = statistics.snapshot()
    assert snapshot.success == Duration(2000, 6000)
    assert snapshot.queue == snapshot.compute_infer == snapshot.compute_output == Duration(2000, 2000)
