"""Questions answered by a subprocess, because what they look at can crash or hang the process that looks."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Answer", "ask", "respond"]

_ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a question."""

    value: Mapping[str, Any] | None
    """The child's answer; None when it ended without one."""
    ending: str
    """How it ended without an answer, e.g. `was killed by SIGSEGV`; empty when it answered."""
    log: str
    """What it wrote to standard error, without colours."""


def ask(module: str, question: object, *, timeout_s: float) -> Answer:
    """Runs `python -m module QUESTION` (as JSON) and waits for its answer; never raises for what it does."""
    # A session of its own: a Ctrl-C at our terminal is not its verdict on the provider.
    # -P: a folder `onnxruntime` in the working directory is not the wheel.
    command = [sys.executable, "-P", "-m", module, json.dumps(question)]
    try:
        done = subprocess.run(  # noqa: S603 - our own module
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired as error:
        return Answer(None, f"did not end within {timeout_s:g} s", _text(error.stderr))
    except OSError as error:
        return Answer(None, f"could not be started: {error}", "")
    value = _value(done.stdout)
    return Answer(value, _ending(done.returncode) if value is None else "", _text(done.stderr))


def respond(answer: Callable[[Any], Mapping[str, object]]) -> None:
    """The child's side: calls `answer` with the question and writes the result as one line of JSON."""
    channel = os.dup(1)
    os.dup2(2, 1)  # libraries that print must not spoil the answer
    line = json.dumps(answer(json.loads(sys.argv[1])))
    os.write(channel, line.encode() + b"\n")
    os.close(channel)


def _value(output: bytes) -> Mapping[str, Any] | None:
    try:
        value = json.loads(output)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _ending(status: int) -> str:
    if status >= 0:
        return f"ended with exit status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"


def _text(output: bytes | None) -> str:
    return _ANSI.sub("", (output or b"").decode(errors="replace")).strip()
