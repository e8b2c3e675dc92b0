"""Log events: for a person on a terminal, JSON lines otherwise; ONNX Runtime's own lines among them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

import structlog

from ortolan_backends.runtime.log import LogLine

__all__ = ["configure", "errors_only", "foreign_line", "runtime_line"]

_METHODS = {"V": "debug", "I": "debug", "W": "warning", "E": "error", "F": "critical"}


def configure(descriptor: int, level: str) -> None:
    """Sends events of at least `level` (debug, info, warning, error) to a file descriptor."""
    stream = _Stream(os.dup(descriptor))
    terminal = os.isatty(descriptor)
    renderer: Any = structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S" if terminal else "iso", utc=not terminal),
            *([] if terminal else [structlog.processors.format_exc_info]),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", stream)),
        cache_logger_on_first_use=True,
    )


@contextmanager
def errors_only() -> Iterator[None]:
    """For a command whose answer says the rest: events below `error` are dropped meanwhile."""
    before = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("error"))
    try:
        yield
    finally:
        structlog.configure(wrapper_class=before)


def runtime_line(line: LogLine) -> None:
    """A message of ONNX Runtime as an event of ours."""
    logger = structlog.get_logger()
    method = getattr(logger, _METHODS.get(line.severity, "info"))
    method("onnxruntime_logged", session=line.logid, where=line.where, text=line.text)


def foreign_line(text: str) -> None:
    """What others write to standard error, such as gRPC's core, as an event: a log of JSON lines stays one."""
    structlog.get_logger().warning("stderr_written", text=text)


class _Stream:
    """What structlog writes to. Nothing that happens here ends what only wanted to log."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, text: str) -> None:
        # A path or a driver's message may be no Unicode.
        rest = text.encode("utf-8", "backslashreplace")
        with suppress(OSError):  # its reader is gone, or its disk is full
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]

    def flush(self) -> None:
        """There is nothing to do: nothing is held back."""
