"""The file formats, by name and by suffix."""

from enum import StrEnum
from pathlib import PurePath

__all__ = ["STDIO", "BatchFailed", "Format", "format_of"]

STDIO = "-"


class BatchFailed(Exception):
    """The job cannot go on; the text says why, and what is done stays."""


class Format(StrEnum):
    """What a file holds."""

    PARQUET = "parquet"
    ARROW = "arrow"
    CSV = "csv"
    JSONL = "jsonl"
    NPY = "npy"
    NPZ = "npz"


_SUFFIXES = {
    ".parquet": Format.PARQUET,
    ".pq": Format.PARQUET,
    ".arrow": Format.ARROW,
    ".arrows": Format.ARROW,
    ".feather": Format.ARROW,
    ".ipc": Format.ARROW,
    ".csv": Format.CSV,
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".npy": Format.NPY,
    ".npz": Format.NPZ,
}
_SEEKING = (Format.PARQUET, Format.NPY, Format.NPZ)


def format_of(file: str, named: str, flag: str) -> Format:
    """`named` wins over the suffix. Raises ValueError, naming the flag, where neither says it."""
    if named:
        if named not in list(Format):
            raise ValueError(f"{flag} is {_listed()}, not {named!r}")
        found = Format(named)
    elif file == STDIO:
        raise ValueError(f"{flag} says what stands in -: {_listed()}")
    else:
        suffix = PurePath(file).suffix.lower()
        if suffix not in _SUFFIXES:
            raise ValueError(f"{file}: the suffix does not say the format; {flag} does: {_listed()}")
        found = _SUFFIXES[suffix]
    if file == STDIO and found in _SEEKING:
        raise ValueError(f"{flag} {found} cannot stand in -: csv, jsonl and arrow can")
    return found


def _listed() -> str:
    return ", ".join(Format)
