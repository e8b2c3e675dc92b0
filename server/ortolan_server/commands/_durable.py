"""Files that are there as a whole or not at all, whatever ends the process or the machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

__all__ = ["replaced", "write_durably"]


@contextmanager
def replaced(path: Path, folder: Path | None = None) -> Iterator[IO[bytes]]:
    """A file to write, which takes the place of `path` when the block ends well; else `path` stays as it was.

    It is written in `folder`, of the same file system; what a killed process leaves lies there. None: beside `path`.
    """
    temporary = (folder or path.parent) / f".{path.name}.{os.getpid()}.tmp"
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_durably(path: Path, data: bytes, folder: Path | None = None) -> None:
    with replaced(path, folder) as file:
        file.write(data)


def _sync_folder(folder: Path) -> None:
    """Without it a rename can be lost when the machine goes down. Not every system lets a folder be opened."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
