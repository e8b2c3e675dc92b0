"""Each kind of goal, met and missed."""

import pytest

from benchmarks.goals import Verdict, judge, summary
from tests.benchmarks.measured import results


def verdicts(key: str, **cases: dict[str, list[float]]) -> dict[str, Verdict]:
    named = {name.replace("_", "-"): servers for name, servers in cases.items()}
    return {verdict.goal.sentence: verdict for verdict in judge(results(key, named))}


def the(seen: dict[str, Verdict], words: str) -> Verdict:
    (verdict,) = [verdict for text, verdict in seen.items() if words in text]
    return verdict


@pytest.mark.parametrize(("ours", "met"), [(500.0, True), (499.0, False)])
def test_times_another_server(ours: float, *, met: bool) -> None:
    seen = verdicts("per_second", tiny_64={"ortolan": [ours], "plain-aio": [100.0]})
    assert the(seen, "5 × plain grpc.aio").met is met


def test_a_goal_without_its_other_side_is_not_judged() -> None:
    seen = verdicts("per_second", tiny_64={"ortolan": [500.0], "plain-aio": [100.0]})
    assert the(seen, "8 × MLServer").met is None


def test_a_void_cell_is_not_judged() -> None:
    measured = results("per_second", {"tiny-64": {"ortolan": [900.0], "plain-aio": [100.0]}})
    measured.cells["tiny-64"]["plain-aio"].void = "round 1: a wrong answer"
    assert [verdict.met for verdict in judge(measured)] == [None, None, None]


@pytest.mark.parametrize(("ours", "met"), [(99.0, True), (100.0, False), (101.0, False)])
def test_latency_below_the_lowest_of_the_peers(ours: float, *, met: bool) -> None:
    seen = verdicts("p50_us", tiny_1={"ortolan": [ours], "plain-aio": [100.0], "mlserver": [300.0]})
    assert the(seen, "below every peer's").met is met


def test_streams_are_held_against_unary_calls() -> None:
    seen = verdicts("per_second", tiny_64={"ortolan": [100.0, 80.0]}, tiny_streams={"ortolan": [120.0, 72.0]})
    verdict = the(seen, "the rate of unary calls")
    assert verdict.seen
    assert verdict.seen.median == pytest.approx(1.05)
    assert verdict.met


@pytest.mark.parametrize(("ours_us", "met"), [(315.0, True), (316.0, False)])
def test_the_tail_is_held_against_the_echos_and_one_run(ours_us: float, *, met: bool) -> None:
    measured = results("p99_us", {"tiny-open-loop": {"ortolan": [ours_us], "echo": [200.0]}})
    measured.cells |= results("p50_us", {"tiny-1": {"in-process": [10.0]}}).cells
    (verdict,) = [verdict for verdict in judge(measured) if verdict.goal.case == "tiny-open-loop"]
    assert verdict.met is met


@pytest.mark.parametrize(("p99_us", "met"), [(5000.0, True), (5001.0, False)])
def test_a_bound_is_in_the_figures_unit(p99_us: float, *, met: bool) -> None:
    seen = verdicts("p99_us", tiny_beside_16mb={"ortolan": [p99_us]})
    assert the(seen, "≤ 5 ms").met is met


def test_only_cases_that_were_asked_for_have_goals() -> None:
    assert verdicts("per_second", tiny_8={"ortolan": [1.0]}) == {}


def test_a_peer_that_could_not_be_measured_leaves_the_latency_open() -> None:
    measured = results("p50_us", {"tiny-1": {"ortolan": [1.0], "plain-aio": [100.0], "kserve": []}})
    (verdict,) = judge(measured)
    assert verdict.met is None


def test_the_summary_names_what_is_short_and_what_is_not_known() -> None:
    line = summary(judge(results("per_second", {"tiny-64": {"ortolan": [500.0], "plain-aio": [100.0], "echo": [800]}})))
    assert line.startswith("1 of 3 goals met; short: tiny-64 ≥ 0.7 × C++ gRPC echo (0.625); not measured: tiny-64 ≥ 8")
