"""A bench for people: nothing that matters is missing, and it stands at 80 columns."""

import io

import pytest
from rich.console import Console

from ortolan_server.bench.report import BenchReport, Recommendation
from ortolan_server.commands._bench_table import render_bench
from tests.server.commands.bench_reports import CRASHED, FASTER, REFERENCE, REFUSED, REPORT, report, row


def _lines(bench: BenchReport, width: int = 80) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=width, highlight=False).print(render_bench(bench))
    return [" ".join(line.split()) for line in stream.getvalue().splitlines()]


def _text(bench: BenchReport) -> str:
    return " ".join(_lines(bench))


@pytest.mark.parametrize(
    "bench", [REPORT, report(REFUSED), report(REFERENCE, batch_sizes=(1,))], ids=["all", "refused", "cpu"]
)
def test_it_stands_at_80_columns_without_colours(bench: BenchReport) -> None:
    stream = io.StringIO()
    Console(file=stream, width=80, highlight=False).print(render_bench(bench))
    assert max(len(line) for line in stream.getvalue().splitlines()) <= 80
    assert "\x1b" not in stream.getvalue()


def test_the_head_says_what_was_measured_and_where() -> None:
    assert _lines(REPORT)[:2] == [
        "magika/1 onnxruntime-openvino 1.24.1 AMD EPYC 7B13, 2 cores, 2 threads",
        "5 rounds × 1 s, batch 1, 8, 32; bytes INT32[1, 2048] random, seed 0",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "CHAIN VERDICT SERVED BY LOAD FIRST RUN PEAK MEM MAX DIFF",
        "cpu KEPT cpu 100.0% 41.2 ms 3.12 ms 152 MiB reference",
        "openvino,cpu KEPT openvino 97.9% 1.21 s 3.12 ms 1.4 GiB 4.1e-07 ✓",
        "xnnpack,cpu KEPT xnnpack 100.0% 41.2 ms 3.12 ms 152 MiB 0.0234 ✗",
        "webgpu,cpu DEGRADED cpu 41.2 ms 3.12 ms 152 MiB -",
        "cuda,cpu REFUSED - - - - -",
        "ggml,cpu CRASHED - - - - -",
    ],
)
def test_each_chain_has_its_row(line: str) -> None:
    assert line in _lines(REPORT)


@pytest.mark.parametrize(
    "line",
    [
        "BATCH CHAIN P50 P99 ROWS/S LOW-HIGH ×CPU CPU/ROW",
        "1 cpu 3.22 ms 6.45 ms 310 295-326 ×1.00 6.45 ms",
        "openvino,cpu 1.95 ms 3.91 ms 512 486-538 ×1.65 3.91 ms",
        "32 cpu 36.4 ms 72.7 ms 880 836-924 ×1.00 2.27 ms",
        "openvino,cpu 24.2 ms 48.5 ms 1,320 1,254-1,386 ×1.50 1.51 ms",
    ],
)
def test_chains_stand_beside_each_other_at_each_batch_size(line: str) -> None:
    assert line in _lines(REPORT)


def test_reasons_and_ways_out_are_whole() -> None:
    text = _text(REPORT)
    for wanted in (
        f"cuda,cpu {REFUSED.reason} → {REFUSED.mend}",
        f"ggml,cpu {CRASHED.reason}",
        "webgpu,cpu it would run on cpu, and the contract wants webgpu",
        "openvino,cpu openvino: device_type=CPU, precision=FP32",
        "xnnpack,cpu output label differs from the CPU's: largest difference 0.0234, relative 0.0123, cosine 0.998",
        "same top-1 0.969",
    ):
        assert wanted in text


def test_the_recommendation_says_why_not_the_others() -> None:
    text = _text(REPORT)
    for wanted in (
        "recommended openvino,cpu openvino,cpu does 1.50 times the rows of cpu at batch 32",
        "webgpu,cpu it ran on cpu no faster than cpu: 1.00 times",
        "xnnpack,cpu qualifies too; the recommended one is better",
    ):
        assert wanted in text
    assert text.count("qualifies too") == 1
    assert "refused: " not in text


def test_a_refused_chain_says_its_reason_once() -> None:
    refused = REFUSED.model_copy(update={"verdict_reasons": (f"rung 1 (cuda) refused at probe: {REFUSED.reason}",)})
    assert _text(report(REFERENCE, refused)).count(REFUSED.reason) == 1


def test_an_accelerator_is_named() -> None:
    changes = {"hardware": "accelerator", "device": "NVIDIA L4, 22.5 GiB"}
    assert "openvino,cpu runs on NVIDIA L4, 22.5 GiB" in _text(report(REFERENCE, FASTER.model_copy(update=changes)))


def test_a_model_that_draws_random_numbers_is_marked() -> None:
    plan = REPORT.plan.model_copy(update={"random_operators": ("RandomNormal",)})
    bench = REPORT.model_copy(update={"plan": plan})
    assert "draws random numbers (RandomNormal): no two answers agree" in _text(bench)


def test_what_decided_is_said_once() -> None:
    advice = Recommendation(
        chain=("cpu",), sentence="Stay: openvino,cpu is slow.", findings={"openvino,cpu": ("is slow",)}
    )
    assert _text(report(REFERENCE, FASTER, advice=advice)).count("is slow") == 1


def test_a_chain_for_single_rows_is_named_beside() -> None:
    advice = Recommendation(chain=("cpu",), sentence="Stay.", findings={}, latency_chain=("cuda", "cpu"))
    assert "recommended cpu for callers that wait for single rows cuda,cpu" in _text(report(REFERENCE, advice=advice))


def test_without_the_reference_nothing_is_compared() -> None:
    text = _text(report(REFUSED, FASTER))
    assert "no recommendation: the CPU, with which the others are compared, was not measured" in text
    assert "×" not in text.split("×CPU")[1]


def test_the_same_answers_are_no_difference() -> None:
    (found,) = FASTER.differences
    same = row("openvino", "cpu", differences=(found.model_copy(update={"equal": True, "max_abs": 0.0}),))
    assert "none ✓" in _text(report(REFERENCE, same))


def test_another_shape_has_no_figure() -> None:
    (found,) = FASTER.differences
    nothing = dict.fromkeys(("max_abs", "max_rel", "cosine", "top1_agreement"))
    other = row("openvino", "cpu", differences=(found.model_copy(update={**nothing, "within_tolerance": False}),))
    assert "output label differs from the CPU's: not the same values" in _text(report(REFERENCE, other))
    assert "152 MiB ✗" in _text(report(REFERENCE, other))


def test_text_of_models_is_not_markup() -> None:
    bench = report(REFERENCE).model_copy(update={"model": "[red]x"})
    assert "[red]x/1" in _text(bench)
