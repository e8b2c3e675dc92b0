"""HTTP/2 by hand: what no gRPC client lets a caller send."""

import re
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import unquote

import grpc

from tests.conformance.wire import CLOSED, INFERENCE, Answer

__all__ = ["GRPC_HEADERS", "exchange", "frame", "headers_frame", "message_frame", "raw_call"]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, GOAWAY = 0, 1, 3, 4, 7
FRAME_HEADER_BYTES = 9
END_STREAM, END_HEADERS = 1, 4
LIMIT_S = 60.0
_STATUS_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}
GRPC_HEADERS: Sequence[tuple[str, str]] = (
    (":method", "POST"),
    (":scheme", "http"),
    (":path", f"{INFERENCE}/ModelInfer"),
    (":authority", "conformance"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
)


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def headers_frame(headers: Sequence[tuple[str, str]], flags: int = END_HEADERS) -> bytes:
    """Every header as a literal that is not indexed, which needs no tables."""
    block = b"".join(b"\0" + _literal(name) + _literal(value) for name, value in headers)
    return frame(HEADERS, flags, 1, block)


def message_frame(message: bytes, *, compressed: int = 0, length: int | None = None) -> bytes:
    """A gRPC message in one DATA frame that ends the stream; `length` is what its prefix says, if not the truth."""
    prefix = struct.pack(">BI", compressed, len(message) if length is None else length)
    return frame(DATA, END_STREAM, 1, prefix + message)


def raw_call(address: str, *frames: bytes) -> Answer:
    """A connection of its own with these frames; the status that came, or CLOSED."""
    return _status(exchange(address, PREFACE + frame(SETTINGS, 0, 0, b"") + b"".join(frames)))


def exchange(address: str, data: bytes) -> bytes:
    """Sends bytes, and gives what comes until a status, a reset or the end of the connection."""
    host, _, port = address.rpartition(":")
    came = b""
    with socket.create_connection((host, int(port)), LIMIT_S) as connection, suppress(ConnectionError):
        connection.sendall(data)
        while not _over(came) and (part := connection.recv(65536)):
            came += part
    return came


def _over(data: bytes) -> bool:
    return _status(data).code != CLOSED or any(kind in {RESET, GOAWAY} for kind in _frame_kinds(data))


def _frame_kinds(data: bytes) -> list[int]:
    """Of every frame that is there with its header."""
    kinds = []
    at = 0
    while at + FRAME_HEADER_BYTES <= len(data):
        kinds.append(data[at + 3])
        at += FRAME_HEADER_BYTES + int.from_bytes(data[at : at + 3], "big")
    return kinds


def _literal(text: str) -> bytes:
    data = text.encode()
    if len(data) < 127:  # what fits into the seven bits of the length
        return bytes([len(data)]) + data
    rest = len(data) - 127
    length = b"\x7f"
    while rest >= 128:
        length += bytes([rest % 128 + 128])
        rest //= 128
    return length + bytes([rest]) + data


def _status(data: bytes) -> Answer:
    """On a fresh connection gRPC's C core writes these names and values as plain literals."""
    found = re.search(rb"grpc-status[\x01\x02](\d+)", data)
    if found is None:
        http = re.search(rb":status\x03(\d+)", data)
        return Answer(f"HTTP {http[1].decode()}" if http else CLOSED, "")
    text = re.search(rb"grpc-message(\x7f[\x80-\xff]*[\0-\x7f]|[\0-\x7e])", data)
    details = data[text.end() : text.end() + _integer(text[1])].decode("latin-1") if text else ""
    return Answer(_STATUS_NAMES[int(found[1])], unquote(details))


def _integer(data: bytes) -> int:
    """HPACK's integer with a prefix of seven bits."""
    return data[0] + sum((byte & 127) << (7 * place) for place, byte in enumerate(data[1:]))
