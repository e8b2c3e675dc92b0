"""What every command writes through: answers to stdout, complaints to stderr, JSON where asked."""

import ctypes
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.console import Console

from ortolan_client import Client, DeadlineExceeded, OrtolanClientError, Tls

__all__ = [
    "BROKEN",
    "DEVICE_LOST",
    "FAILURE",
    "USAGE",
    "answers",
    "complain",
    "connect",
    "message_dict",
    "others_on_stderr",
    "print_json",
    "reported_errors",
]

FAILURE = 1
USAGE = 2
BROKEN = 3
DEVICE_LOST = 4

_PIPED_WIDTH = 120


def answers() -> Console:
    """The console of stdout: colours and the window's width on a terminal, plain text and 120 columns in a pipe."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # an old code page must not end a report with an exception
    piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(width=_PIPED_WIDTH if piped else None, highlight=False, soft_wrap=False)


def complain(text: str) -> None:
    """One line on stderr, never wrapped: it must survive a `grep`."""
    Console(stderr=True, highlight=False).print(f"ortolan: {text}", markup=False, soft_wrap=True)


@contextmanager
def others_on_stderr() -> Iterator[None]:
    """What libraries print to standard output meanwhile goes to standard error: QNN's would spoil our JSON."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        with suppress(AttributeError, OSError, TypeError):  # where the C library cannot be had like this
            ctypes.CDLL(None).fflush(None)
        os.dup2(kept, 1)
        os.close(kept)


@contextmanager
def reported_errors(address: str, hint: str = "") -> Iterator[None]:
    """Turns an error of the client into one line on stderr, `hint` at its end, and exit code 1."""
    try:
        yield
    except OrtolanClientError as error:
        complain(f"{_told(address, error)}{hint}")
        raise typer.Exit(FAILURE) from error


def _told(address: str, error: OrtolanClientError) -> str:
    if error.code == "UNAVAILABLE":
        return f"{address}: {error.message}"
    if isinstance(error, DeadlineExceeded):
        return f"{address}: no answer in time (--timeout): {error.message}"
    return f"{address} answers {error}"


def connect(address: str, timeout_s: float, tls: Tls | None = None, token: str = "") -> Client:
    """A client that says at once what is; what is no address and no token, and a PEM file that cannot be used, is a
    usage error.
    """
    try:
        return Client(address, timeout_s=timeout_s, tls=tls, token=token, retries=0)
    except ValueError as error:
        complain(str(error))
        raise typer.Exit(USAGE) from error


def message_dict(message: Message) -> dict[str, object]:
    """The message as `grpcurl` would print it, zeros and empty fields included."""
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def print_json(value: Mapping[str, object] | Sequence[object], *, indent: int | None = 2) -> None:
    print(json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False), flush=True)
