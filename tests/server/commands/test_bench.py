"""`ortolan bench`: what it takes, what it prints, and its exit status."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto
from typer.testing import Result

from ortolan_server.bench.report import BenchReport, RowState
from ortolan_server.commands._models import only_model
from ortolan_server.commands.bench import _usual_chains
from tests import models

Ortolan = Callable[..., Result]
Script = Callable[..., subprocess.CompletedProcess[str]]
QUICK = ("--rounds", "2", "--seconds", "0.05", "--batch", "1,4")


@pytest.fixture
def bench(ortolan: Ortolan) -> Ortolan:
    return lambda *arguments: ortolan("bench", *map(str, arguments))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return models.save(models.add_one(), tmp_path / "adder").parents[1]


def test_the_help_says_what_it_does(bench: Ortolan) -> None:
    done = bench("--help")
    assert done.exit_code == 0
    for option in ("--chain", "--input", "--batch", "--rounds", "--seconds", "--seed", "--timeout", "--plot", "--json"):
        assert option in done.stdout


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--chain", "tpu"], "no provider 'tpu'; known: coreml, cpu, cuda, "),
        (["--chain", "cpu", "--chain", " , "], "names no provider; known: coreml, cpu, "),
        (["--chain", "cpu", "--chain", " cpu"], "chain cpu is given twice"),
        (["--batch", "1,two"], "--batch takes whole numbers with commas between, as in 1,8,32, not '1,two'"),
        (["--batch", "1,0"], "batch sizes must be above zero"),
        (["--rounds", "0"], "--rounds"),
        (["--seconds", "0"], "--seconds"),
        (["--input", "x"], "--input takes name=value"),
        (["--chain", "cpu", "--input", "z={file}"], "the model has no input 'z'; it takes "),
        (["--chain", "cpu", "--input", "x={file}.gone"], "x.npy.gone"),
        (["--plot", "x.png"], "name a file that ends in .svg, not x.png"),
        (["--plot", "nowhere/x.svg"], "there is no folder nowhere"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_flag_is_a_usage_error(
    bench: Ortolan, model: Path, tmp_path: Path, flags: list[str], told: str
) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1, 2), np.float32))
    done = bench(model, *(flag.replace("{file}", str(tmp_path / "x.npy")) for flag in flags))
    assert done.exit_code == 2, done.output
    assert told in done.stderr
    assert done.stdout == ""


def test_a_file_that_is_no_model(bench: Ortolan, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_text("no model")
    for flags in ([], ["--chain", "cpu", "--batch", "1"]):
        done = bench(tmp_path / "m.onnx", *flags)
        assert done.exit_code == 1
        assert "not a readable ONNX model" in done.stderr


def test_a_model_that_cannot_be_measured_as_asked_is_a_usage_error_without_flags_too(
    bench: Ortolan, tmp_path: Path
) -> None:
    models.save(models.identity(TensorProto.FLOAT, None), tmp_path / "m")
    done = bench(tmp_path / "m")
    assert done.exit_code == 2
    assert "may have any shape: give it as a .npy file" in done.stderr


@pytest.mark.wheel("onnxruntime")
def test_json_is_the_report_and_a_refused_chain_keeps_its_row(bench: Ortolan, model: Path, tmp_path: Path) -> None:
    file, plot = tmp_path / "x.npy", tmp_path / "adder.svg"
    np.save(file, np.zeros((1, 2), np.float32))
    done = bench(model, *QUICK, "-c", "cpu", "-c", "cuda,cpu", "-i", f"x={file}", "--json", "--plot", plot)
    assert (done.exit_code, done.stderr) == (0, "")
    report = BenchReport.model_validate_json(done.stdout)
    assert BenchReport.model_validate_json(report.model_dump_json()) == report
    cpu, cuda = report.rows
    (tensor,) = report.plan.inputs
    assert (tensor.name, tensor.source) == ("x", str(file))
    assert (report.model, report.plan.rounds, report.plan.batch_sizes) == ("adder", 2, (1, 4))
    assert (cpu.name, cpu.state, cpu.verdict) == ("cpu", RowState.MEASURED, "KEPT")
    assert [figures.batch_size for figures in cpu.batches] == [1, 4]
    assert (cuda.name, cuda.state, cuda.batches) == ("cuda,cpu", RowState.REFUSED, ())
    assert "CUDAExecutionProvider" in cuda.reason
    assert report.recommendation is not None
    assert report.recommendation.chain == ("cpu",)
    assert "cuda,cpu: refused, no figures" in plot.read_text()


@pytest.mark.wheel("onnxruntime")
def test_no_named_chain_that_opens_is_a_failure_but_the_table_is_there(bench: Ortolan, model: Path) -> None:
    done = bench(model, *QUICK, "--chain", "cuda,cpu")
    assert done.exit_code == 1
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert any(line.startswith("cpu KEPT cpu 100.0%") for line in lines)
    assert any(line.startswith("cuda,cpu REFUSED") for line in lines)
    assert "recommended cpu" in lines
    assert "CUDAExecutionProvider" in done.stdout


@pytest.mark.wheel("onnxruntime")
def test_without_chains_it_takes_what_works_and_what_model_toml_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toml = '[[chain]]\nprovider = "cuda"\n[[chain]]\nprovider = "cpu"\n'
    models.save(models.add_one(), tmp_path / "m", toml=toml)
    assert _usual_chains(only_model(tmp_path / "m")) == (("cpu",), ("cuda", "cpu"))
    assert capsys.readouterr().err == ""


@pytest.mark.wheel("onnxruntime")
def test_without_anything_to_compare_it_says_where_to_look(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _usual_chains(only_model(model)) == (("cpu",),)
    told = capsys.readouterr().err
    assert "only cpu works here" in told
    assert "ortolan doctor" in told


def test_a_plot_without_matplotlib_says_so_before_anything_is_measured(script: Script, model: Path) -> None:
    hide = "import sys; sys.modules['matplotlib'] = None"
    done = script("bench", str(model), "--plot", "x.svg", before=hide)
    assert done.returncode == 2, done.stderr
    assert done.stderr == "ortolan: --plot needs matplotlib: pip install 'ortolan[plot]'\n"


def test_matplotlib_is_not_imported_without_a_plot(script: Script) -> None:
    hide = "import sys; sys.modules['matplotlib'] = None"
    assert script("bench", "--help", before=hide).returncode == 0


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc, to see child processes")
def test_ctrl_c_ends_it_and_its_processes_quietly(model: Path) -> None:
    ours, theirs = os.openpty()
    command = [sys.executable, "-c", "from ortolan_server.entry import main; main()"]
    process = subprocess.Popen(
        [*command, "bench", str(model), "--chain", "cpu", "--rounds", "1000"],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(theirs)
    try:
        shown = b""  # a read may end within a letter
        while b"round" not in shown:
            shown += os.read(ours, 4096)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(signal.SIGINT)
        while rest := _read(ours):
            shown += rest
        assert process.wait(120) == 130
    finally:
        process.kill()
        output, _ = process.communicate()
        os.close(ours)
    assert children
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    assert output == b""
    for word in (b"Traceback", b"Aborted"):
        assert word not in shown


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux: nobody writes to it any more
        return b""
