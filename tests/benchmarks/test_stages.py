"""Stages of a call, from the server's own counts."""

from benchmarks.report import as_text
from benchmarks.results import Cell
from benchmarks.stages import StageSums
from ortolan.inference import inference_pb2 as pb
from tests.benchmarks.measured import results


def statistics(calls: int, *runs: tuple[int, int]) -> pb.ModelStatistics:
    """Runs as (rows, ns of each stage)."""
    seen = pb.ModelStatistics(execution_count=len(runs))
    seen.inference_stats.success.count = calls
    for rows, ns in runs:
        stage = pb.StatisticDuration(count=1, ns=ns)
        seen.batch_stats.add(batch_size=rows, compute_input=stage, compute_infer=stage, compute_output=stage)
    return seen


def test_each_calls_share_of_what_came_since() -> None:
    before = StageSums.of(statistics(1, (1, 9_000)))
    share = StageSums.of(statistics(9, (1, 9_000), (4, 16_000), (4, 24_000))).since(before)
    assert share["calls_per_run"] == 4.0
    assert share["run_us"] == 5.0


def test_nothing_since_is_no_share() -> None:
    sums = StageSums.of(statistics(1, (1, 9_000)))
    assert sums.since(sums) == {}


def test_the_rest_of_a_call_is_what_its_stages_leave() -> None:
    seen = results("per_second", {"tiny-64": {}})
    shares = {"read_us": 5.0, "run_us": 2.0, "write_us": 3.0, "server_cpu_us": 30.0}
    seen.cells["tiny-64"]["ortolan"] = Cell([{**shares, "per_second": 1.0, "p50_us": 1.0}])
    (row,) = [line for line in as_text(seen).splitlines() if line.startswith("tiny-64  ")]
    assert row.split()[1:6] == ["5.00", "2.00", "3.00", "20.0", "30.0"]
