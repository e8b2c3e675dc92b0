"""An entry on disk: the provider's files, and a page that says what they were built from.

<cache>/<provider>/<key>/entry.json     written last: without it the entry is a build that did not end
<cache>/<provider>/<key>/files/         the provider's own
<cache>/<provider>/<key>.lock           and <key>.opening: see locks.py
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ortolan_server.cache.key import KeyParts
from ortolan_server.cache.locks import KeyLocks
from ortolan_server.digests import file_sha256
from ortolan_server.repository.watching import FileMark

__all__ = ["Entry", "Marks", "Record", "marks", "size_of"]

_RECORD = "entry.json"
_FILES = "files"

Marks = Mapping[str, FileMark]
"""By path in a folder."""


@dataclass(frozen=True, slots=True)
class Record:
    """What `entry.json` says."""

    parts: KeyParts
    path: str
    """Of the model that it was built for."""
    created: str
    """In UTC, by ISO 8601."""
    build_seconds: float
    digests: Mapping[str, str]
    """SHA-256 of each of the provider's files when the session was open."""


class Entry:
    """A key's place in the cache; there may be nothing in it."""

    def __init__(self, provider_folder: Path, key: str) -> None:
        self.key = key
        self.provider = provider_folder.name
        self.folder = provider_folder / key
        self.files = self.folder / _FILES
        self.lock_path = provider_folder / f"{key}.lock"
        self.opening_path = provider_folder / f"{key}.opening"

    @property
    def is_ours(self) -> bool:
        """Whether a build began it: 32 digits are a common name of folders, as of runs that others have recorded."""
        return any(path.is_file() for path in (self.folder / _RECORD, self.lock_path, self.opening_path))

    def locks(self, go_on: Callable[[], None] = lambda: None) -> KeyLocks:
        return KeyLocks(self.opening_path, self.lock_path, go_on)

    def record(self) -> Record | None:
        """None for what is not there, not whole, or not ours to read."""
        try:
            document = json.loads((self.folder / _RECORD).read_text(encoding="utf-8"))
            return _record(document)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def fault(self, record: Record) -> str:
        """Which of the files recorded is missing or no longer the same; empty: none. Raises OSError."""
        now = _digests(self.files, record.digests)
        return next((name for name, digest in record.digests.items() if now.get(name) != digest), "")

    def prepare(self) -> None:
        """Makes an empty folder for the provider; what an ended build has left is removed. Raises OSError."""
        self.remove()
        self.files.mkdir(parents=True, mode=0o700)

    def complete(self, parts: KeyParts, path: Path, created: datetime, build_seconds: float) -> None:
        """Writes `entry.json`, in one step; `path` is the model's. Raises OSError."""
        digests = _digests(self.files, marks(self.files))
        when = created.isoformat(timespec="seconds")
        document = asdict(Record(parts, str(path), when, round(build_seconds, 3), digests))
        unfinished = self.folder / f"{_RECORD}.{os.getpid()}"
        unfinished.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        unfinished.replace(self.folder / _RECORD)

    def remove(self) -> None:
        """Raises OSError. First the page: a removal that does not end leaves no entry that looks whole."""
        with suppress(FileNotFoundError):
            (self.folder / _RECORD).unlink()
        with suppress(FileNotFoundError):
            shutil.rmtree(self.folder)

    @property
    def size_bytes(self) -> int:
        return size_of(self.folder)

    @property
    def last_used_s(self) -> float:
        """Seconds of the epoch; 0: not known."""
        for path in (self.lock_path, self.folder):
            with suppress(OSError):
                return path.stat().st_mtime
        return 0.0


def marks(folder: Path) -> Marks:
    """Of every file below `folder`, links themselves and hidden ones too: all that a provider may have written."""
    found = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            with suppress(FileNotFoundError):  # a provider may be at work
                found[str(path.relative_to(folder))] = FileMark.of(path.lstat())
    return found


def size_of(folder: Path) -> int:
    """Bytes of every file below it; 0 where it is not there."""
    return sum(mark.size_bytes for mark in marks(folder).values())


def _digests(folder: Path, names: Mapping[str, Any]) -> dict[str, str]:
    digests = {}
    for name in sorted(names):
        with suppress(FileNotFoundError):
            digests[name] = file_sha256(folder / name)
    return digests


def _record(document: Any) -> Record:  # noqa: ANN401 - it comes from a file
    parts = document["parts"]
    return Record(
        KeyParts(
            provider=str(parts["provider"]),
            model=str(parts["model"]),
            versions=_texts(parts["versions"]),
            devices=tuple(str(name) for name in parts["devices"]),
            options=_texts(parts["options"]),
        ),
        str(document["path"]),
        str(document["created"]),
        float(document["build_seconds"]),
        _texts(document["digests"]),
    )


def _texts(mapping: Any) -> dict[str, str]:  # noqa: ANN401 - it comes from a file
    return {str(key): str(value) for key, value in mapping.items()}
