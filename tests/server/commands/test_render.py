"""An assignment for people: nothing that matters is missing, and every line stands at 80 columns."""

import io

import pytest
from rich.console import Console

from ortolan.v1 import findings_pb2 as found
from ortolan.v1 import provider_reflection_pb2 as pb
from ortolan_server.commands._render import render_assignment
from ortolan_server.commands._render_summaries import render_summaries
from tests.server.commands.reports import BROKEN, KEPT


def _lines(assignment: pb.Assignment) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=80, highlight=False).print(render_assignment(assignment))
    return stream.getvalue().splitlines()


def _text(assignment: pb.Assignment) -> str:
    return " ".join(" ".join(_lines(assignment)).split())


@pytest.mark.parametrize("assignment", [KEPT, BROKEN, pb.Assignment()], ids=["kept", "broken", "empty"])
def test_it_stands_at_80_columns_without_colours(assignment: pb.Assignment) -> None:
    assert max(len(line) for line in _lines(assignment)) <= 80
    assert "\x1b" not in "".join(_lines(assignment))


def test_a_kept_contract_on_the_second_rung() -> None:
    text = _text(KEPT)
    for wanted in (
        "resnet/2 READY KEPT on cuda, rung 2 of 3 loaded in 1.9 s",
        "1 tensorrt fp16=true, workspace=4GiB",
        "2 cuda device_id=0",
        "at least 95% of the nodes on tensorrt or cuda; never on the CPU: Conv, MatMul; otherwise serve as DEGRADED",
        "✗ 1 tensorrt refused at probe after 0.0 s libnvinfer.so.10: cannot open shared object file",
        "line 4 of ONNX Runtime and 2 more lines",
        "✓ 2 cuda opened in 1.2 s numeric max abs 2e-06, cosine 1.0000 over 3 made-up samples",
        "· 3 cpu not needed",
        "98.3% 122 nodes 2 fragments 100% of weights",
        "1.7% 5 nodes 1 fragment cuda: Conv 53, Relu 49, Add 16",
        "cpu: Shape 3, NonMaxSuppression 2 left there: NonMaxSuppression nms_0, NonMaxSuppression 1 tensor crosses",
        "assignment recorded by ONNX Runtime at partitioning; complete",
        "input x in Cpu output y in CudaPinned",
        "cuda: device_id=0, gpu_mem_limit=8589934592",
        "verdict KEPT ! heavy operators left to cpu: 2 NonMaxSuppression",
    ):
        assert wanted in text


@pytest.mark.parametrize(
    ("use", "told"),
    [
        (found.CacheUse(result=found.CacheUse.HIT, bytes=12_897_485), "opened in 0.0 s cache HIT 12.3 MiB"),
        (found.CacheUse(result=found.CacheUse.MISS, bytes=2048), "opened in 0.0 s cache MISS 2.0 KiB"),
        (
            found.CacheUse(result=found.CacheUse.STALE, bytes=5, reason="driver 1 -> 2"),
            "cache STALE 5 bytes driver 1 -> 2",
        ),
        (found.CacheUse(result=found.CacheUse.MISS, reason="not kept: why"), "cache MISS not kept: why"),
    ],
)
def test_what_the_cache_had_stands_with_the_attempt(use: found.CacheUse, told: str) -> None:
    attempt = pb.Attempt(rung=1, provider="openvino", outcome=pb.Attempt.OPENED, cache=use)
    assert told in _text(pb.Assignment(attempts=[attempt]))


def test_a_broken_contract() -> None:
    text = _text(BROKEN)
    for wanted in (
        "ocr/1 FAILED BROKEN on none of its rungs",
        "at least 50% of the nodes on cuda; otherwise fail (no [require] in model.toml: the first rung or nothing)",
        "✗ 2 cpu refused at contract after 0.0 s it would run on cpu, and the contract wants cuda",
        "verdict BROKEN ✗ a way out",
    ):
        assert wanted in text
    assert text.count("libcublasLt.so.13 is missing") == 1
    for absent in ("nodes cuda", "memory", "options", "cross"):
        assert absent not in text


def test_an_incomplete_reading_says_so() -> None:
    assignment = pb.Assignment()
    assignment.CopyFrom(KEPT)
    assignment.complete = False
    assert "may be incomplete" in _text(assignment)


def test_colours_are_for_terminals_alone() -> None:
    stream = io.StringIO()
    Console(file=stream, width=80, force_terminal=True, color_system="standard").print(render_assignment(BROKEN))
    assert "\x1b[1;31mBROKEN" in stream.getvalue()


def test_text_of_models_is_not_markup() -> None:
    stream = io.StringIO()
    summary = pb.AssignmentSummary(model="[red]x", version="1", state="FAILED", reason="[/] is no closing tag")
    Console(file=stream, width=80).print(render_summaries([summary]))
    assert "[red]x/1" in stream.getvalue()
    assert "[/] is no closing tag" in stream.getvalue()
