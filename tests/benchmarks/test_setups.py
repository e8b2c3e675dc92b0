"""Cases that share servers, their cores, and how long it all takes."""

from dataclasses import replace

from benchmarks.cases import CASES
from benchmarks.progress import left
from benchmarks.setups import Plan, setups

PLAN = Plan(["tiny-1"], ["ortolan", "in-process"], 7, 1.0, 0.4, 10.0, server_cores=[0], load_cores=[1])


def test_servers_have_the_models_of_their_cases_and_no_others() -> None:
    seen = setups(list(CASES.values()), PLAN)
    assert all(case.models == setup.models for setup in seen for case in setup.cases)
    assert [sorted(setup.models) for setup in seen if "tiny-beside-16mb" in [case.name for case in setup.cases]] == [
        ["identity", "tiny"]
    ]


def test_cores_are_shared_where_the_model_needs_them_all() -> None:
    calls, runs = setups([CASES["tiny-64"], CASES["convnet-1"]], PLAN)
    assert (calls.server_cores, calls.load_cores) == ([0], [1])
    assert (runs.server_cores, runs.load_cores) == ([0, 1], [0, 1])


def test_goals_across_two_cases_are_taken_from_the_same_rounds() -> None:
    (setup,) = setups([CASES[name] for name in ("tiny-1", "tiny-64", "tiny-streams", "tiny-open-loop")], PLAN)
    assert setup.servers(replace(PLAN, servers=["ortolan", "echo"])) == ["ortolan", "echo"]


def test_starts_of_many_models_have_no_servers_that_stay_up() -> None:
    (setup,) = setups([CASES["idle-50"], CASES["memory"]], PLAN)
    assert setup.servers(PLAN) == []
    assert PLAN.rounds_of(CASES["idle-50"]) == 3


def test_what_is_left_is_guessed_from_what_is_done() -> None:
    assert left(expected_s=30, done_s=10, took_s=20) == "40 s"
    assert left(expected_s=300, done_s=100, took_s=100) == "3 min"
    assert left(expected_s=10, done_s=11, took_s=10) == "0 s"
