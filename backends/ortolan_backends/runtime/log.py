"""ONNX Runtime's own log, read from file descriptor 2.

Supported versions before 1.32 have no callback for it, so the descriptor is replaced by a pipe. Lines of
ONNX Runtime go to a sink; everything else that is written to the descriptor goes to another, or passes through.
"""

import fcntl
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

__all__ = ["LogLine", "RuntimeLog"]

_START = re.compile(
    rb"^(?P<colour>\x1b\[[0-9;]+m)?"
    rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ "
    rb"\[(?P<severity>[VIWEF]):[^:\]]*:(?P<logid>[^,\]]*), (?P<where>[^\]]*)\] (?P<text>.*)$",
    re.DOTALL,
)
_COLOUR = re.compile(rb"\x1b\[[0-9;]*m")
_RESET = b"\x1b[m"
_SYNC = b"\x00ortolan-sync:"
# Native code may write while it holds the GIL, which the reader needs: the pipe must take what it writes.
_PIPE_BYTES = 1 << 20
_SYNC_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class LogLine:
    """One message of ONNX Runtime."""

    severity: str
    """`V`, `I`, `W`, `E` or `F`."""
    logid: str
    """The session's `logid`; `Default` outside sessions, provider libraries that cannot be loaded included."""
    where: str
    """Source file, line and function."""
    text: str

    @property
    def is_problem(self) -> bool:
        return self.severity in "WEF"


Sink = Callable[[LogLine], None]


class RuntimeLog:
    """Takes over file descriptor 2 between `start()` and `stop()`; one at a time in a process."""

    def __init__(self, sink: Sink, foreign: Callable[[str], None] | None = None) -> None:
        """`foreign` takes the lines of others, such as gRPC's core or a driver; without it they pass through."""
        self._sink = sink
        self._foreign = foreign
        self._captures: list[list[LogLine]] = []
        self._lock = threading.Lock()
        self._syncs: dict[bytes, threading.Event] = {}
        self._numbers = count()
        self._terminal = -1

    def start(self) -> int:
        """Returns a descriptor of what was standard error before; whoever writes the log writes there."""
        self._terminal = os.dup(2)
        reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        os.dup2(writer, 2)
        os.close(writer)
        self._thread = threading.Thread(target=self._read, args=(reader,), name="onnxruntime-log", daemon=True)
        self._thread.start()
        return self._terminal

    def stop(self) -> None:
        os.dup2(self._terminal, 2)  # closes the pipe's last writer: the reader ends
        self._thread.join(_SYNC_TIMEOUT_S)
        os.close(self._terminal)

    @contextmanager
    def capture(self) -> Iterator[list[LogLine]]:
        """The list holds, after the block, what ONNX Runtime logged during it, from any thread."""
        lines: list[LogLine] = []
        with self._lock:
            self._captures.append(lines)
        try:
            yield lines
        finally:
            self._synchronise()
            with self._lock:
                self._captures = [other for other in self._captures if other is not lines]

    def _synchronise(self) -> None:
        """Waits until everything written so far has been read."""
        mark = _SYNC + str(next(self._numbers)).encode()
        event = self._syncs[mark] = threading.Event()
        os.write(2, mark + b"\n")
        event.wait(_SYNC_TIMEOUT_S)
        self._syncs.pop(mark, None)

    def _read(self, descriptor: int) -> None:
        message = b""  # of several lines, not yet ended
        with os.fdopen(descriptor, "rb", buffering=0) as pipe:
            for line in _lines(pipe.read):
                if line.startswith(_SYNC):
                    event = self._syncs.get(line.rstrip(b"\n"))
                    if event is not None:
                        event.set()
                    continue
                if message:
                    message += line
                elif _START.match(line):
                    message = line
                else:
                    self._pass_on(line)
                    continue
                # Warnings and worse are coloured, and end where the colour does.
                if message and (not message.startswith(b"\x1b") or _RESET in message):
                    self._deliver(message)
                    message = b""

    def _pass_on(self, line: bytes) -> None:
        if line.strip() == _RESET:
            return  # the end of a coloured message of several lines
        if self._foreign is None:
            os.write(self._terminal, line)
        else:
            self._foreign(line.decode(errors="replace").rstrip("\n"))

    def _deliver(self, message: bytes) -> None:
        match = _START.match(message)
        if match is None:
            return
        text = _COLOUR.sub(b"", match["text"]).decode(errors="replace").strip()
        line = LogLine(
            severity=match["severity"].decode(),
            logid=match["logid"].decode(errors="replace"),
            where=match["where"].decode(errors="replace"),
            text=text,
        )
        with self._lock:
            for lines in self._captures:
                lines.append(line)
        self._sink(line)


def _lines(read: Callable[[int], bytes | None]) -> Iterator[bytes]:
    rest = b""
    while chunk := read(1 << 16):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line + b"\n"
    if rest:
        yield rest
