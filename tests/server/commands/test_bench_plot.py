"""The SVG of a bench: well-formed, the same each time, and every chain is in it."""

from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from ortolan_server.bench.report import BenchReport
from ortolan_server.commands._bench_plot import write_plot
from tests.server.commands.bench_reports import FASTER, REFERENCE, REFUSED, REPORT, report, row

SVG = "{http://www.w3.org/2000/svg}"


def _texts(bench: BenchReport, path: Path) -> list[str]:
    write_plot(bench, path)
    root = ET.fromstring(path.read_bytes())  # noqa: S314 (our own)
    assert root.tag == f"{SVG}svg"
    return ["".join(element.itertext()).strip() for element in root.iter(f"{SVG}text")]


def test_every_chain_is_named(tmp_path: Path) -> None:
    texts = _texts(REPORT, tmp_path / "x.svg")
    for one in REPORT.rows:
        assert any(text.startswith(one.name) for text in texts)
    for text in (
        "magika/1",
        "openvino,cpu  1,320",
        "cuda,cpu: refused, no figures",
        "ggml,cpu: crashed, no figures",
        "rows/s",
        "batch size (rows a run)",
        "50 ms",
    ):
        assert text in texts


def test_host_and_method_are_in_it(tmp_path: Path) -> None:
    (line,) = [text for text in _texts(REPORT, tmp_path / "x.svg") if "EPYC" in text]
    for part in ("AMD EPYC 7B13, 2 cores", "onnxruntime-openvino 1.24.1", "5 rounds × 1 s"):
        assert part in line


def test_the_same_report_gives_the_same_file(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        write_plot(REPORT, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a.svg").stat().st_size < 60_000


def test_one_batch_size_names_its_points(tmp_path: Path) -> None:
    texts = _texts(report(row("cpu", rates=(310.0,)), FASTER, batch_sizes=(1, 8, 32)), tmp_path / "x.svg")
    assert "cpu  310" in texts
    assert "3.23 ms" in texts


def test_names_that_would_lie_on_each_other_are_moved_apart(tmp_path: Path) -> None:
    crowd = [row(f"p{number}", "cpu", rates=(300.0, 700.0, 900.0 + number / 10)) for number in range(12)]
    write_plot(report(REFERENCE, *crowd), tmp_path / "x.svg")
    root = ET.parse(tmp_path / "x.svg").getroot()  # noqa: S314 (our own)
    named = [text for text in root.iter(f"{SVG}text") if "cpu  90" in "".join(text.itertext())]
    heights = sorted(float(text.attrib["y"]) for text in named)
    assert len(heights) == 12
    assert min(upper - lower for lower, upper in pairwise(heights)) > 10


def test_nothing_measured_is_said(tmp_path: Path) -> None:
    texts = _texts(report(REFUSED), tmp_path / "x.svg")
    assert "no chain was measured" in texts
    assert "cuda,cpu: refused, no figures" in texts


@pytest.mark.parametrize("name", ["$x_1$", "a<b>&c"])
def test_names_are_no_formulas_and_no_markup(tmp_path: Path, name: str) -> None:
    assert f"{name}/1" in _texts(REPORT.model_copy(update={"model": name}), tmp_path / "x.svg")
