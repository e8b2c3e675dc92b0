"""The rule, point by point: who leaves the CPU, and what keeps the others from it."""

from pathlib import Path
from typing import Any

import pytest

from ortolan_server.bench import rule
from ortolan_server.bench.report import Recommendation, Row, RowState
from ortolan_server.bench.rule import recommend
from tests.server.bench.rows import apart, figures, row, without_figures

CPU = row("cpu")
IN_WORDS = {
    "REFERENCE": "the row whose chain is `{0[0]}`",
    "CPU_GAIN": "at least {:g} × that of the CPU's best where its `hardware` is `cpu`",
    "ACCELERATOR_GAIN": "at least {:g} × where it is `accelerator`",
    "P99_SLACK": "The `p99_s` of its single is at most {:g} × that of the CPU's single",
    "P99_FREE_S": "or at most {:g}.",
    "CPU_COST": "the `cpu_s_per_row` of its best is at most {:g} × that of the CPU's best",
    "NEAR": "at least {:g} × the highest `rows_per_s`",
    "LATENCY_GAIN": "{0:g} × `p50_s` is at most that of the CPU's single and {0:g} × `p99_s` too",
}


def recommended(*rows: Row, **options: bool) -> Recommendation:
    found = recommend(rows, **options)
    assert found is not None
    return found


def test_the_words_have_the_numbers_of_the_code() -> None:
    page = (Path(__file__).parents[3] / "docs" / "bench.md").read_text(encoding="utf-8")
    words = " ".join(page.partition("## The rule")[2].partition("\n## ")[0].split())
    assert set(IN_WORDS) == {name for name in rule.__all__ if name.isupper()}
    for name, text in IN_WORDS.items():
        assert text.format(getattr(rule, name)) in words


# What a chain must be to be recommended, and the least that keeps it from it. The CPU makes 1,000 rows/s, its rounds
# between 950 and 1,050, with a p99 of 10 ms and 1 ms of processor time a row.
@pytest.mark.parametrize(
    ("chain", "rows_per_s", "changed", "finding"),
    [
        ("openvino", 1200.0, {}, None),
        ("openvino", 1199.0, {}, "1.2x is wanted of the same silicon"),
        ("cuda", 2000.0, {}, None),
        ("cuda", 1999.0, {}, "2x is wanted of an accelerator"),
        ("openvino", 1300.0, {"rows_per_s_low": 1051.0}, None),
        ("openvino", 1300.0, {"rows_per_s_low": 1050.0}, "within the noise"),
        ("openvino", 1300.0, {"p99_s": 0.015}, None),
        ("openvino", 1300.0, {"p99_s": 0.0151}, "a p99 of 15.1 ms at batch size 1"),
        ("openvino", 1300.0, {"cpu_s_per_row": 0.0011}, None),
        ("openvino", 1300.0, {"cpu_s_per_row": 0.00111}, "1.11x the CPU's processor time"),
        ("cuda", 3000.0, {"cpu_s_per_row": 0.005}, None),  # its host's processor time is not what it costs
    ],
)
def test_a_chain_must_be_worth_it(chain: str, rows_per_s: float, changed: dict[str, Any], finding: str | None) -> None:
    found = recommended(CPU, row(chain, figures(rows_per_s=rows_per_s, **changed)))
    if finding is None:
        assert found.findings == {chain: ()}
        assert found.chain == (chain,)
        assert found.sentence.startswith(f"Serve on {chain}: {rows_per_s:,.0f} rows/s at batch size 1")
    else:
        (told,) = found.findings[chain]
        assert finding in told
        assert found.chain == ("cpu",)
        assert found.sentence.startswith("Stay on cpu, 1,000 rows/s at batch size 1")
        assert finding in found.sentence


def test_a_p99_that_nobody_feels_is_fine() -> None:
    quick = row("cpu", figures(p99_s=0.001))
    assert recommended(quick, row("openvino", figures(rows_per_s=1300.0, p99_s=0.005))).chain == ("openvino",)
    assert recommended(quick, row("openvino", figures(rows_per_s=1300.0, p99_s=0.0051))).chain == ("cpu",)


def test_each_is_judged_at_its_own_best_batch_size_and_p99_at_the_smallest() -> None:
    cpu = row("cpu", figures(1, rows_per_s=1000.0), figures(8, rows_per_s=900.0))
    other = row("openvino", figures(1, rows_per_s=800.0, p99_s=0.005), figures(8, rows_per_s=1300.0, p99_s=0.5))
    found = recommended(cpu, other)
    assert found.chain == ("openvino",)
    assert "1,300 rows/s at batch size 8, 1.30x the CPU's 1,000 rows/s at 1" in found.sentence


@pytest.mark.parametrize(
    ("other", "finding"),
    [
        (without_figures("cuda", RowState.REFUSED, "no such device"), "refused: no such device"),
        (without_figures("cuda", RowState.CRASHED, "ended by SIGSEGV"), "crashed: ended by SIGSEGV"),
        (row("cuda", figures(rows_per_s=9000.0), verdict="DEGRADED", verdict_reasons=("10% on it",)), "10% on it"),
        (row("cuda", figures(rows_per_s=9000.0), differences=(apart(),)), "output 'y' further from the CPU's"),
    ],
)
def test_a_chain_that_does_not_serve_the_model_stays_out(other: Row, finding: str) -> None:
    found = recommended(CPU, other)
    assert found.chain == ("cpu",)
    assert [finding in told for told in found.findings["cuda"]] == [True]


def test_what_crashed_keeps_its_figures_and_is_not_recommended() -> None:
    crashed = row("cuda", figures(rows_per_s=9000.0, p50_s=1e-6, p99_s=1e-6), state=RowState.CRASHED, reason="hung")
    found = recommended(CPU, crashed)
    assert (found.chain, found.latency_chain) == (("cpu",), ())


def test_differences_of_a_model_that_draws_random_numbers_are_not_held_against_it() -> None:
    other = row("cuda", figures(rows_per_s=9000.0), differences=(apart(),))
    assert recommended(CPU, other, answers_vary=True).chain == ("cuda",)


def test_all_that_speaks_against_a_chain_is_told() -> None:
    other = row("openvino", figures(rows_per_s=900.0, p99_s=0.1, cpu_s_per_row=0.1), differences=(apart(),))
    assert len(recommended(CPU, other).findings["openvino"]) == 4


@pytest.mark.parametrize(
    ("openvino", "cuda", "chosen"),
    [
        (2699.0, 3000.0, "cuda"),
        (2700.0, 3000.0, "openvino"),  # within 10 %: the lesser hardware
    ],
)
def test_of_two_that_are_worth_it_the_lesser_cost_decides(openvino: float, cuda: float, chosen: str) -> None:
    rows = (row("cuda", figures(rows_per_s=cuda)), row("openvino", figures(rows_per_s=openvino)))
    found = recommended(CPU, *rows)
    assert found.chain == (chosen,)
    assert found.findings == {"cuda": (), "openvino": ()}


def test_on_the_same_hardware_the_lesser_memory_decides() -> None:
    fast = row("openvino", figures(rows_per_s=3000.0))
    small = row("xnnpack", figures(rows_per_s=2800.0), peak_memory_bytes=50_000_000)
    unknown = row("ggml", figures(rows_per_s=2900.0), peak_memory_bytes=None)
    assert recommended(CPU, fast, small, unknown).chain == ("xnnpack",)


@pytest.mark.parametrize(
    ("p50_s", "p99_s", "named"), [(0.0005, 0.005, True), (0.00051, 0.005, False), (0.0005, 0.0051, False)]
)
def test_a_chain_that_halves_the_latency_is_named_too(p50_s: float, p99_s: float, *, named: bool) -> None:
    found = recommended(CPU, row("cuda", figures(p50_s=p50_s, p99_s=p99_s)))
    assert found.chain == ("cpu",)
    assert found.latency_chain == (("cuda",) if named else ())
    assert ("For callers who wait for 1 row cuda takes 500 µs" in found.sentence) == named


def test_the_recommended_chain_is_not_named_twice() -> None:
    best = row("cuda", figures(rows_per_s=9000.0, p50_s=0.0001, p99_s=0.0001))
    less = row("openvino", figures(p50_s=0.0002, p99_s=0.0002))
    assert recommended(CPU, best, less).latency_chain == ()


def test_a_chain_with_other_answers_is_not_named_for_its_latency() -> None:
    assert recommended(CPU, row("cuda", figures(p50_s=1e-6, p99_s=1e-6), differences=(apart(),))).latency_chain == ()


def test_without_others_it_stays_on_the_cpu() -> None:
    assert recommended(CPU).sentence.endswith("no other chain was asked for.")
    refused = without_figures("cuda", RowState.REFUSED, "none here")
    assert recommended(refused, CPU).sentence.endswith("no other chain could be measured here.")


@pytest.mark.parametrize("state", [RowState.REFUSED, RowState.CRASHED])
def test_without_the_reference_there_is_no_recommendation(state: RowState) -> None:
    assert recommend([without_figures("cpu", state, "gone"), row("cuda", figures(rows_per_s=9000.0))]) is None
