"""ONNX Runtime's log, written to a descriptor 2 of a process of its own."""

import json
import os
import subprocess
import sys

import pytest

SCRIPT = """
import json, os, sys
from ortolan_backends.runtime.log import RuntimeLog

lines = []
log = RuntimeLog(lines.append)
log.start()
with log.capture() as captured:
    os.write(2, {during!r})
os.write(2, {after!r})
log.stop()
print(json.dumps([[[l.severity, l.logid, l.where, l.text] for l in part] for part in (captured, lines)]))
"""

WARNING = b"\x1b[0;93m2026-11-22 12:52:36.8 [W:onnxruntime:Default, state.cc:856 operator()] No device\x1b[m\n"
ERROR = (
    b"\x1b[1;31m2026-11-22 12:52:36.8 [E:onnxruntime:session-7, bridge.cc:2458 Get] Failed to load\n"
    b"second line\n\x1b[m\n"
)
INFO = b"2026-11-22 12:52:36.8 [I:onnxruntime:session-7, session.cc:1 Initialize] fine\n"


def capture(during: bytes, after: bytes = b"") -> tuple[list[list[str]], list[list[str]], str]:
    script = SCRIPT.format(during=during, after=after)
    done = subprocess.run([sys.executable, "-"], input=script, capture_output=True, text=True, check=True)
    captured, everything = json.loads(done.stdout)
    return captured, everything, done.stderr


def test_lines_are_parsed_and_joined() -> None:
    captured, _, rest = capture(WARNING + ERROR + INFO)
    assert captured == [
        ["W", "Default", "state.cc:856 operator()", "No device"],
        ["E", "session-7", "bridge.cc:2458 Get", "Failed to load\nsecond line"],
        ["I", "session-7", "session.cc:1 Initialize", "fine"],
    ]
    assert not rest.strip()


def test_what_is_not_of_onnx_runtime_passes_through() -> None:
    captured, _, rest = capture(b"a warning of a driver\n" + INFO + b"[E: not ours] text\n")
    assert [line[3] for line in captured] == ["fine"]
    assert rest == "a warning of a driver\n[E: not ours] text\n"


def test_lines_after_the_capture_go_to_the_sink_only() -> None:
    captured, everything, _ = capture(INFO, WARNING)
    assert [line[3] for line in captured] == ["fine"]
    assert [line[3] for line in everything] == ["fine", "No device"]


def test_more_than_a_pipe_holds_is_taken() -> None:
    captured, _, _ = capture(INFO * 5000)
    assert len(captured) == 5000


def run(program: str, *, stderr: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    """Runs a program whose last words must be `done`: then its log did not end it."""
    script = f"import fcntl, os\nfrom ortolan_backends.runtime.log import RuntimeLog\n{program}\nprint('done')"
    done = subprocess.run(
        [sys.executable, "-"], input=script, stdout=subprocess.PIPE, stderr=stderr, text=True, check=False, timeout=240
    )
    assert done.stdout.endswith("done\n"), done
    return done


def test_the_mark_is_seen_behind_an_unfinished_line() -> None:
    program = f"""
import time
from ortolan_backends.runtime import log as module
module._SYNC_TIMEOUT_S = 60.0
log = RuntimeLog(lambda line: None)
log.start()
started = time.monotonic()
with log.capture() as captured:
    os.write(2, {INFO!r} + b"no end")
assert time.monotonic() - started < 30, "it waited for its mark until the time was up"
os.write(2, b" yet\\n")
log.stop()
assert [line.text for line in captured] == ["fine"]
"""
    assert run(program).stderr == "no end yet\n"


def test_a_message_that_the_mark_cuts_in_two_stays_one() -> None:
    _, everything, rest = capture(WARNING[:40], WARNING[40:])
    assert [line[3] for line in everything] == ["No device"]
    assert rest == ""


def test_a_colour_without_an_end_ends_at_the_next_message() -> None:
    endless = WARNING.replace(b"\x1b[m", b"")
    captured, _, rest = capture(endless + INFO + b"a driver\n")
    assert [line[3] for line in captured] == ["No device", "fine"]
    assert rest == "a driver\n"


def test_a_colour_without_an_end_does_not_swallow_all_that_follows() -> None:
    endless = WARNING.replace(b"\x1b[m", b"")
    captured, _, rest = capture(endless + b"a driver\n" * 10_000)
    (line,) = captured
    assert line[3].startswith("No device\na driver\n")
    assert len(line[3]) < (1 << 16) + 100
    assert line[3].count("a driver") + rest.count("a driver") == 10_000


def test_a_message_without_an_end_is_delivered_at_the_end() -> None:
    _, everything, _ = capture(b"", WARNING.replace(b"\x1b[m", b""))
    assert [line[3] for line in everything] == ["No device"]


def test_an_endless_line_is_passed_on_without_its_marks() -> None:
    captured, _, rest = capture(b"x" * 300_000, b"\n" + INFO)
    assert captured == []
    assert rest == "x" * 300_000 + "\n"


@pytest.mark.parametrize(
    "refusal",
    [
        "def refuse(*_): raise PermissionError\nfcntl.fcntl = refuse",
        "del fcntl.F_SETPIPE_SZ",
    ],
    ids=["not allowed", "not Linux"],
)
def test_a_pipe_of_the_usual_size_will_do(refusal: str) -> None:
    program = f"""
{refusal}
lines = []
log = RuntimeLog(lines.append)
log.start()
with log.capture() as captured:
    os.write(2, {INFO!r})
log.stop()
assert len(captured) == len(lines) == 1
"""
    assert run(program).stderr == ""


def test_a_terminal_that_is_gone_stops_nobody() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    program = f"""
log = RuntimeLog(lambda line: None)
log.start()
with log.capture():
    os.write(2, b"nobody reads this\\n")
with log.capture() as captured:
    os.write(2, {INFO!r})
log.stop()
assert [line.text for line in captured] == ["fine"]
"""
    try:
        run(program, stderr=writer)
    finally:
        os.close(writer)


def test_sinks_that_raise_stop_nobody() -> None:
    program = f"""
def refuse(line):
    raise RuntimeError(line)

log = RuntimeLog(refuse, refuse)
log.start()
for _ in range(2):
    with log.capture() as captured:
        os.write(2, b"a driver\\n" + {INFO!r})
    assert [line.text for line in captured] == ["fine"]
log.stop()
"""
    assert run(program).stderr == ""


def test_a_capture_without_standard_error_raises_nothing() -> None:
    program = """
log = RuntimeLog(lambda line: None)
log.start()
os.close(2)
with log.capture() as captured:
    pass
log.stop()
assert captured == []
"""
    run(program)


def test_a_descriptor_that_is_anothers_now_keeps_no_capture_waiting() -> None:
    program = """
from ortolan_backends.runtime import log as module
module._SYNC_TIMEOUT_S = 3600.0
log = RuntimeLog(lambda line: None)
with log.capture():
    pass  # before its start
terminal = log.start()
with log.capture():
    os.dup2(terminal, 2)
with log.capture():
    pass
log.stop()
with log.capture():
    pass
"""
    run(program)
