"""ONNX Runtime's own log, read from file descriptor 2.

Supported versions before 1.32 have no callback for it, so the descriptor is replaced by a pipe. Lines of
ONNX Runtime go to a sink; everything else that is written to the descriptor goes to another, or passes through.
"""

import fcntl
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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
# Of one message, or one line without an end: what is longer is passed on in pieces.
_MESSAGE_BYTES = 1 << 16
_LONGEST_MARK_BYTES = 64
_SYNC_TIMEOUT_S = 10.0


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
    """Takes over file descriptor 2 between `start()` and `stop()`; one at a time in a process.

    What cannot be written on, because the terminal or the log's reader is gone, is lost: that is no reason to
    stop reading, which would block whoever writes next.
    """

    def __init__(self, sink: Sink, foreign: Callable[[str], None] | None = None) -> None:
        """`foreign` takes the lines of others, such as gRPC's core or a driver; without it they pass through."""
        self._sink = sink
        self._foreign = foreign
        self._captures: list[list[LogLine]] = []
        self._lock = threading.Lock()
        self._syncs: dict[bytes, threading.Event] = {}
        self._numbers = count()
        self._terminal = -1
        self._reading = False

    def start(self) -> int:
        """Returns a descriptor of what was standard error before; whoever writes the log writes there."""
        self._terminal = os.dup(2)
        reader, writer = os.pipe()
        # Only Linux has it, and a sandbox or the user's limit of pipe memory may refuse: then it holds less.
        with suppress(AttributeError, OSError):
            fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        os.dup2(writer, 2)
        os.close(writer)
        self._thread = threading.Thread(target=self._read, args=(reader,), name="onnxruntime-log", daemon=True)
        self._reading = True
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
        """Waits until everything written so far has been read, or nobody reads any more."""
        mark = _SYNC + str(next(self._numbers)).encode()
        with self._lock:
            if not self._reading:
                return
            event = self._syncs[mark] = threading.Event()
        with suppress(OSError):  # nobody reads: there is nothing to wait for
            os.write(2, mark + b"\n")
            event.wait(_SYNC_TIMEOUT_S)
        with self._lock:
            self._syncs.pop(mark, None)

    def _read(self, descriptor: int) -> None:
        message = b""  # of several lines, not yet ended
        unfinished = b""  # line, when the mark came: messages are written in several pieces
        with os.fdopen(descriptor, "rb", buffering=0) as pipe:
            for piece in _lines(pipe.read):
                before, sync, number = piece.partition(_SYNC)
                unfinished += before
                if not sync or len(unfinished) >= _MESSAGE_BYTES:
                    message = self._take(message, unfinished)
                    unfinished = b""
                if sync:
                    self._acknowledge(sync + number)
        if unfinished:
            message = self._take(message, unfinished)
        self._deliver(message)
        self._end()

    def _end(self) -> None:
        """The descriptor is another's now: a mark that is written to it does not come here."""
        with self._lock:
            if self._thread is threading.current_thread():
                self._reading = False
                for event in self._syncs.values():
                    event.set()

    def _take(self, message: bytes, line: bytes) -> bytes:
        """Adds a line to a message that has not ended; returns what of both has still not ended."""
        if _START.match(line):
            self._deliver(message)  # its end is missing
            message = line
        elif message:
            message += line
        else:
            self._pass_on(line)
        # Warnings and worse are coloured, and end where the colour does.
        if message.startswith(b"\x1b") and _RESET not in message and len(message) < _MESSAGE_BYTES:
            return message
        self._deliver(message)
        return b""

    def _acknowledge(self, mark: bytes) -> None:
        event = self._syncs.get(mark.rstrip(b"\n"))
        if event is not None:
            event.set()

    def _pass_on(self, line: bytes) -> None:
        if line.strip() == _RESET:
            return  # the end of a coloured message of several lines
        with suppress(Exception):  # see the class
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
        with suppress(Exception):  # see the class
            self._sink(line)


def _lines(read: Callable[[int], bytes | None]) -> Iterator[bytes]:
    """With their ends; a line that is too long in pieces, none of which ends within a mark."""
    rest = b""
    while chunk := read(1 << 16):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line + b"\n"
        if len(rest) > _MESSAGE_BYTES:
            yield rest[:-_LONGEST_MARK_BYTES]
            rest = rest[-_LONGEST_MARK_BYTES:]
    if rest:
        yield rest
