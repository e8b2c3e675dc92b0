"""What a process measures of itself."""

import time

from ortolan_server.bench.measure import LEAST_RUNS, look_at_memory, time_runs


def test_runs_are_timed_one_by_one_and_the_first_is_not_counted() -> None:
    taken_ns: list[int] = []  # by the runs themselves: a busy machine lengthens any of them

    def run() -> None:
        start_ns = time.perf_counter_ns()
        time.sleep(0.001 if taken_ns else 0.05)
        taken_ns.append(time.perf_counter_ns() - start_ns)

    start_ns = time.perf_counter_ns()
    timing = time_runs(run, 0.02)
    whole_ns = time.perf_counter_ns() - start_ns
    first_ns, *counted_ns = taken_ns
    assert all(timed >= taken for timed, taken in zip(timing.durations_ns, counted_ns, strict=True))
    assert sum(timing.durations_ns) / 1e9 <= timing.elapsed_s <= (whole_ns - first_ns) / 1e9
    assert timing.elapsed_s >= 0.02
    assert timing.cpu_s < 0.02


def test_slow_runs_are_made_a_few_times_all_the_same() -> None:
    assert len(time_runs(lambda: time.sleep(0.002), 0.001).durations_ns) == LEAST_RUNS


def test_processor_time_is_that_of_the_process() -> None:
    def burn() -> None:
        end_s = time.process_time() + 0.01
        while time.process_time() < end_s:
            pass

    assert time_runs(burn, 0.001).cpu_s >= LEAST_RUNS * 0.01


def test_memory_that_is_taken_is_seen() -> None:
    before = look_at_memory()
    taken = bytearray(b"x" * 50_000_000)
    after = look_at_memory()
    assert before.resident_bytes is not None
    assert after.resident_bytes is not None
    assert after.peak_bytes is not None
    assert after.resident_bytes - before.resident_bytes > len(taken) * 0.9
    assert after.peak_bytes >= after.resident_bytes
