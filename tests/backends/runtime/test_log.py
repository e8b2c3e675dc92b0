"""ONNX Runtime's log, written to a descriptor 2 of a process of its own."""

import json
import subprocess
import sys

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
