"""`ortolan status`: the table, one model in full, JSON, exit codes, and following changes."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from typer.testing import Result

from ortolan.v1 import provider_reflection_pb2 as pb
from tests.clients.canned import CannedServer
from tests.server.commands.reports import (
    BROKEN,
    BROKEN_SUMMARY,
    DEGRADED_SUMMARY,
    FAILED_SUMMARY,
    KEPT,
    READY_SUMMARY,
)

Ortolan = Callable[..., Result]


def test_the_table_says_where_each_model_runs(ortolan: Ortolan, canned: CannedServer) -> None:
    canned.summaries += [READY_SUMMARY, DEGRADED_SUMMARY]
    result = ortolan("status", canned.address)
    assert result.exit_code == 0, result.output
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert f"{canned.address} not ready Ortolan 9.9.0 on bench-1, ONNX Runtime 1.32.0" in lines[0]
    assert "resnet/2 READY KEPT cuda 2 of 3 cuda 122, cpu 5 98.3%" in lines
    assert "vad/1 DEGRADED DEGRADED cpu 2 of 2 cpu 9 100.0%" in lines
    assert "vad/1 it would run on cpu, and the contract wants cuda" in lines
    assert max(len(line) for line in result.stdout.splitlines()) <= 80
    assert "\x1b" not in result.stdout


def test_a_name_that_is_too_long_is_folded_and_not_cut(ortolan: Ortolan, canned: CannedServer) -> None:
    name = "a-name-that-is-longer-than-a-table-of-eighty-columns-would-like"
    canned.summaries.append(pb.AssignmentSummary(model=name, version="1", state="READY"))
    result = ortolan("status", canned.address)
    column = "".join(line.split("  ")[0].strip() for line in result.stdout.splitlines())
    assert f"MODEL{name}/1" in column


def test_no_models(ortolan: Ortolan, canned: CannedServer) -> None:
    result = ortolan("status", canned.address)
    assert (result.exit_code, "no models" in result.stdout) == (0, True)


@pytest.mark.parametrize(
    ("summaries", "code"),
    [
        ([READY_SUMMARY], 0),
        ([DEGRADED_SUMMARY], 0),
        ([READY_SUMMARY, BROKEN_SUMMARY], 3),
        ([READY_SUMMARY, FAILED_SUMMARY], 1),
        ([FAILED_SUMMARY, BROKEN_SUMMARY, READY_SUMMARY], 3),
    ],
    ids=["ready", "degraded", "broken", "failed", "both"],
)
def test_exit_codes(ortolan: Ortolan, canned: CannedServer, summaries: list[pb.AssignmentSummary], code: int) -> None:
    canned.summaries += summaries
    assert ortolan("status", canned.address).exit_code == code
    assert ortolan("status", canned.address, "--json").exit_code == code


def test_json_is_what_grpcurl_prints(ortolan: Ortolan, canned: CannedServer) -> None:
    canned.summaries += [READY_SUMMARY, BROKEN_SUMMARY]
    document = json.loads(ortolan("status", canned.address, "--json").stdout)
    assert document.keys() == {"server", "ready", "assignments"}
    assert document["server"]["onnxruntime_package"] == "onnxruntime"
    assert document["server"]["started_at"] == "2026-01-02T03:04:05Z"
    assert document["ready"] is False
    ready, broken = document["assignments"]
    assert ready["nodes"] == {"cpu": 5, "cuda": 122}
    assert (ready["verdict"], ready["node_share"], ready["reason"]) == ("KEPT", 0.983, "")
    assert (broken["verdict"], broken["serving_rung"]) == ("BROKEN", 0)


def test_one_model_in_full(ortolan: Ortolan, canned: CannedServer) -> None:
    canned.assignments += [KEPT, BROKEN]
    kept, broken = ortolan("status", canned.address, "resnet"), ortolan("status", canned.address, "ocr")
    assert (kept.exit_code, broken.exit_code) == (0, 3)
    assert "attempts" in kept.stdout
    assert json.loads(ortolan("status", canned.address, "resnet", "--json").stdout)["serving_provider"] == "cuda"


def test_an_unknown_model(ortolan: Ortolan, canned: CannedServer) -> None:
    result = ortolan("status", canned.address, "gone")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"ortolan: {canned.address} answers NOT_FOUND: no model 'gone'\n"


def test_nobody_there(ortolan: Ortolan, canned: CannedServer) -> None:
    result = ortolan("status", "unix:/nowhere/at-all.sock")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("ortolan: unix:/nowhere/at-all.sock: failed to connect")
    assert result.stderr.count("\n") == 1


def test_what_is_no_address(ortolan: Ortolan) -> None:
    result = ortolan("status", "localhost")
    assert result.exit_code == 2
    assert "an address is HOST:PORT" in result.stderr


@pytest.fixture
def watching(canned: CannedServer, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    canned.summaries.append(READY_SUMMARY)
    code = "from ortolan_server.entry import main; main()"
    command = [sys.executable, "-c", code, "status", canned.address, "--watch", *request.param]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("watching", [["--json"]], indirect=True)
def test_watch_gives_a_line_of_json_for_each_change(watching: subprocess.Popen[str], canned: CannedServer) -> None:
    assert watching.stdout is not None
    assert json.loads(watching.stdout.readline())["model"] == "resnet"
    canned.changes.put(BROKEN_SUMMARY)
    assert json.loads(watching.stdout.readline())["verdict"] == "BROKEN"
    watching.send_signal(signal.SIGINT)
    assert watching.wait(120) == 0


@pytest.mark.parametrize("watching", [[]], indirect=True)
def test_watch_in_a_pipe_gives_a_line_for_each_change(watching: subprocess.Popen[str], canned: CannedServer) -> None:
    assert watching.stdout is not None
    assert watching.stdout.readline() == "resnet/2 READY KEPT on cuda, 98.3% of nodes\n"
    canned.changes.put(FAILED_SUMMARY)
    assert watching.stdout.readline() == "torn/1 FAILED: the file is cut off\n"
    canned.changes.put(None)
    assert watching.wait(120) == 0
