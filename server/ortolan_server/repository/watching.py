"""What changes in the folders of models: a look at the files there, and a decision on several looks."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from ortolan_server.repository.versions import version_number

__all__ = ["Changes", "FileMark", "Snapshot", "changed_files", "decide", "files_of_version", "look_at"]


class FileMark(NamedTuple):
    """What tells a file from what it was: a rename gives it another inode, a write another time."""

    inode: int
    size_bytes: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> "FileMark":
        return cls(status.st_ino, status.st_size, status.st_mtime_ns)


Snapshot = Mapping[str, FileMark]
"""Path below the model's folder, with `/` → the file there, links followed."""


def look_at(place: Path, root: Path) -> Snapshot:
    """The files of a model's folder, or the file that a model is. Empty when nothing is there.

    Names that begin with a dot are skipped, as everywhere in a repository. A link to a folder is followed within
    `root`, which is resolved, and no folder is looked at twice: links can lead in circles, and to the whole disk.
    Nothing is opened, so a pipe holds up nobody.
    """
    marks = {}
    if place.is_dir():
        marks = dict(_walk(place, root, "", set()))
    elif mark := _mark(place):
        marks = {place.name: mark}
    return MappingProxyType(marks)


def files_of_version(files: Snapshot, number: int) -> Snapshot:
    """Those that a version is made of: all but those of other versions' folders."""
    return {path: mark for path, mark in files.items() if (owner := _version_of(path)) is None or owner == number}


def changed_files(before: Snapshot, now: Snapshot) -> list[str]:
    """Paths that came, went or are another file now, sorted."""
    return sorted(path for path in before.keys() | now.keys() if before.get(path) != now.get(path))


@dataclass(frozen=True, slots=True)
class Changes:
    """Models by name, sorted."""

    settled: tuple[str, ...] = ()
    """New or changed, and quiet since the last look: to be loaded."""
    restless: tuple[str, ...] = ()
    """New, changed or gone since the last look: someone may still be at it."""
    gone: tuple[str, ...] = ()
    """Not there for two looks: to be unloaded."""


def decide(acted: Mapping[str, Snapshot], before: Mapping[str, Snapshot], now: Mapping[str, Snapshot]) -> Changes:
    """What to do about each model, given what was acted on, what the last look saw and what this one sees.

    A change is acted on once two looks in a row saw the same, and one time only: whether a load failed makes no
    difference. A folder without a file is no model yet.
    """
    settled, restless, gone = [], [], []
    for name in sorted(acted.keys() | now.keys()):
        if now.get(name, {}) == acted.get(name, {}) and (name in now or name not in acted):
            continue
        if now.get(name) != before.get(name):
            restless.append(name)
        elif name in now:
            settled.append(name)
        else:
            gone.append(name)
    return Changes(tuple(settled), tuple(restless), tuple(gone))


def _walk(folder: Path, root: Path, prefix: str, seen: set[tuple[int, int]]) -> Iterator[tuple[str, FileMark]]:
    try:
        status = folder.stat()
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:  # it went while we looked, or may not be read: loading says so
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        path = folder / entry.name
        if not _is_dir(entry):
            if mark := _mark(path):
                yield prefix + entry.name, mark
        elif not entry.is_symlink() or path.resolve().is_relative_to(root):
            yield from _walk(path, root, f"{prefix}{entry.name}/", seen)


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _mark(path: Path) -> FileMark | None:
    """None when it is not there. A link that leads nowhere is marked itself."""
    for look in (os.stat, os.lstat):
        with suppress(OSError):
            return FileMark.of(look(path))
    return None


def _version_of(path: str) -> int | None:
    """The version in whose folder it is."""
    folder, separator, _ = path.partition("/")
    return version_number(folder) if separator else None
