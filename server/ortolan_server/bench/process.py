"""The process of one chain, as the bench holds it."""

import queue
import re
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from ortolan_server.bench.messages import ANSWERS, Answer, Command

__all__ = ["ChildProcess", "ProcessEnded"]

_MODULE = "ortolan_server.bench.child"
_CLOSE_S = 5.0
_TAIL_BYTES = 4096
_LONGEST_REASON = 400
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_NO_MEMORY = "perhaps the kernel's memory killer, which `dmesg` tells"


class ProcessEnded(Exception):
    """It gives no more answers; the text says how it ended, e.g. `ended by SIGSEGV`."""


class ChildProcess:
    """Takes one command at a time. `close()` whatever happened."""

    def __init__(self, errors: Path) -> None:
        """`errors`: a file for what the process writes to standard error."""
        self._errors = errors
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        # -P: a folder `onnxruntime` in the working directory is not the wheel. A session of its own: a Ctrl-C at our
        # terminal is ours to answer.
        command = [sys.executable, "-P", "-m", _MODULE]
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
            )
        threading.Thread(target=self._read, args=(self._process,), name="bench-answers", daemon=True).start()

    def ask(self, command: Command, timeout_s: float) -> Answer:
        """Raises ProcessEnded when it ends instead of answering, or is ended for not answering in time."""
        assert self._process is not None  # noqa: S101 - started
        assert self._process.stdin is not None  # noqa: S101 - a pipe
        with suppress(OSError):  # it is gone: the answer says so
            self._process.stdin.write(command.model_dump_json().encode() + b"\n")
            self._process.stdin.flush()
        try:
            line = self._lines.get(timeout=timeout_s)
        except queue.Empty:
            self._process.kill()
            self._process.wait()
            raise ProcessEnded(f"did not answer within {timeout_s:g} s, and was ended") from None
        try:
            return ANSWERS.validate_json(line)
        except ValidationError:  # nothing, or a part of an answer
            raise ProcessEnded(self._ending(self._process)) from None

    def close(self) -> None:
        """Lets it end, or ends it. Does nothing the second time."""
        process = self._process
        if process is None:
            return
        self._process = None
        try:
            with suppress(OSError):
                if process.stdin:
                    process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_CLOSE_S)
        finally:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """Ends it at once."""
        if self._process is not None:
            self._process.kill()
            self.close()

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdout:
            with process.stdout as pipe:
                for line in pipe:
                    self._lines.put(line)
        self._lines.put(b"")

    def _ending(self, process: subprocess.Popen[bytes]) -> str:
        try:
            status = process.wait(_CLOSE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return "closed its answers, and was ended"
        ending = f"ended by {_signal_name(-status)}" if status < 0 else f"ended with exit status {status}"
        if status == -signal.SIGKILL:
            ending += f" ({_NO_MEMORY})"
        return ": ".join(filter(None, (ending, self._last_words())))

    def _last_words(self) -> str:
        """The last line that it wrote to standard error."""
        try:
            text = self._errors.read_bytes()[-_TAIL_BYTES:].decode(errors="replace")
        except OSError:
            return ""
        lines = [line.strip() for line in _ANSI.sub("", text).splitlines() if line.strip()]
        return lines[-1][:_LONGEST_REASON] if lines else ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
