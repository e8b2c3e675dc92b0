"""Whom a ModelInferRequest is for, from its first bytes."""

from ortolan.wire import read_varint

__all__ = ["read_names"]

_MODEL, _VERSION, _ID = 0x0A, 0x12, 0x1A
_NAMES = (_MODEL, _VERSION, _ID)
_MOST_FIELDS = 5  # empty ids before the real one place a tensor well: see `ortolan.wire.filling()`
# What is longer is no name that somebody wants to read in a log.
_MOST_BYTES = 256


def read_names(data: bytes) -> tuple[str, str]:
    """Model and id of a request; empty where they do not stand at its beginning, as all known encoders have it.

    For logs: takes no longer for a large message, raises nothing, and what it says is not checked.
    """
    found = {_MODEL: "", _ID: ""}
    at = 0
    try:
        for _ in range(_MOST_FIELDS):
            if at >= len(data) or data[at] not in _NAMES:
                break
            size, start = read_varint(data, at + 1)
            if data[at] in found:
                found[data[at]] = data[start : start + min(size, _MOST_BYTES)].decode("utf-8", "replace")
            at = start + size
    except ValueError:
        pass
    return found[_MODEL], found[_ID]
