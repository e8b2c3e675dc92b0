"""Log events as they leave the process, each test in a process of its own: structlog's setting is global."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
START = """
import os, structlog
from ortolan_backends.runtime.log import RuntimeLog
from ortolan_server.telemetry.logs import configure, runtime_line
"""
SPEAK = """
log = structlog.get_logger()
log.debug("not_asked_for")
log.info("model_loaded", model="m", load_s=0.5)
try:
    1 / 0
except ZeroDivisionError:
    log.exception("call_crashed", path="na\\udcefve")
"""
LINES = b"""\
2026-01-01 00:00:00.0 [W:onnxruntime:session-7, graph.cc:12 Clean] Removing initializer
2026-01-01 00:00:00.0 [E:onnxruntime:Default, bridge.cc:3 Get] Failed to load
"""


def run(program: str, **environment: str) -> list[dict[str, object]]:
    """The events, which must be JSON line by line."""
    done = subprocess.run(
        [sys.executable, "-c", START + program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    assert done.stdout == ""
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_json_lines_where_nobody_looks() -> None:
    loaded, crashed = run("configure(2, 'info')\n" + SPEAK)
    assert (loaded["event"], loaded["level"], loaded["model"], loaded["load_s"]) == ("model_loaded", "info", "m", 0.5)
    assert str(loaded["timestamp"]).endswith("Z")
    assert (crashed["event"], crashed["level"], crashed["path"]) == ("call_crashed", "error", "na\udcefve")
    assert "ZeroDivisionError" in str(crashed["exception"])


def test_the_level_is_the_least_that_is_written() -> None:
    assert [event["event"] for event in run("configure(2, 'error')\n" + SPEAK)] == ["call_crashed"]
    assert len(run("configure(2, 'debug')\n" + SPEAK)) == 3


def test_lines_for_a_person_on_a_terminal() -> None:
    master, slave = pty.openpty()
    command = [sys.executable, "-c", START + "configure(2, 'info')\n" + SPEAK]
    try:
        subprocess.run(command, stderr=slave, check=True)
    finally:
        os.close(slave)
    text = b""
    while chunk := _read(master):
        text += chunk
    os.close(master)
    told = re.sub(r"\x1b\[[0-9;]*m", "", text.decode())
    first = told.splitlines()[0]
    assert re.match(r"\d\d:\d\d:\d\d \[info +\] model_loaded +load_s=0.5 model=m$", first), first
    assert "not_asked_for" not in told
    assert "ZeroDivisionError" in told


def _read(master: int) -> bytes:
    try:
        return os.read(master, 1 << 16)
    except OSError:  # how Linux says that the other end is closed
        return b""


def test_a_reader_that_is_gone_ends_nobody() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    program = START + "configure(2, 'info')\n" + SPEAK * 2 + "print('done')"
    try:
        done = subprocess.run(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=writer, text=True, check=False
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stdout) == (0, "done\n")


def test_lines_longer_than_a_pipe_arrive_whole() -> None:
    (event,) = run("configure(2, 'info')\nstructlog.get_logger().info('long', text='ü' * 300_000)")
    assert event["text"] == "ü" * 300_000


def test_lines_of_onnx_runtime_are_events() -> None:
    program = f"""
runtime_log = RuntimeLog(runtime_line)
configure(runtime_log.start(), "info")
os.write(2, {LINES!r})
runtime_log.stop()
"""
    first, second = run(program)
    assert (first["event"], first["level"], first["session"]) == ("onnxruntime_logged", "warning", "session-7")
    assert (first["where"], first["text"]) == ("graph.cc:12 Clean", "Removing initializer")
    assert (second["level"], second["session"], second["text"]) == ("error", "Default", "Failed to load")


def test_lines_of_a_real_session_are_events() -> None:
    program = """
from ortolan_backends.runtime.ort import onnxruntime
runtime_log = RuntimeLog(runtime_line)
configure(runtime_log.start(), "info")
try:
    onnxruntime.InferenceSession(b"no model")
except Exception:
    pass
options = onnxruntime.SessionOptions()
options.logid = "session-1"
options.add_provider("CPUExecutionProvider", {})
options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
from tests import models
try:
    onnxruntime.InferenceSession(models.add_one().SerializeToString(), options)
except Exception:
    pass
runtime_log.stop()
"""
    events = run(program, PYTHONPATH=os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])))
    conflict = [event for event in events if "Conflicting session configuration" in str(event.get("text"))]
    assert [(event["event"], event["level"]) for event in conflict] == [("onnxruntime_logged", "error")]


def test_a_command_can_drop_all_but_errors() -> None:
    code = """
import structlog
from ortolan_server.telemetry.logs import errors_only
log = structlog.get_logger()
with errors_only():
    log.warning("dropped")
    log.error("kept")
log.info("told_again")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert [word for word in ("dropped", "kept", "told_again") if word in done.stdout] == ["kept", "told_again"]
