"""The cache's folder: whose it is, what lies in it, and what has to go."""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ortolan_server.cache.entry import Entry
from ortolan_server.cache.key import is_key
from ortolan_server.errors import InvalidConfig

__all__ = ["CacheFolder", "Kept", "too_many"]

_LOCK = ".lock"


@dataclass(frozen=True, slots=True)
class Kept:
    """An entry as eviction sees it."""

    entry: Entry
    size_bytes: int
    last_used_s: float


def too_many(kept: Iterable[Kept], limit_bytes: int) -> tuple[Kept, ...]:
    """Those that must go for the rest to fit, the longest unused first."""
    by_use = sorted(kept, key=lambda each: (-each.last_used_s, each.entry.key))
    total, going = 0, []
    for each in by_use:
        total += each.size_bytes
        if total > limit_bytes:
            going.append(each)
    return tuple(reversed(going))


class CacheFolder:
    """Whoever can write here decides what code the providers load: nobody but us, and root, may."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def require_safe(self) -> None:
        """Makes the folder where it is missing. Raises InvalidConfig, saying why it cannot be used."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            status = self.path.stat()
        except FileExistsError as error:
            raise InvalidConfig(f"{self.path}: cannot be the cache: it is no folder") from error
        except OSError as error:
            raise InvalidConfig(f"{self.path}: cannot be the cache: {error.strerror}") from error
        if status.st_uid not in (os.geteuid(), 0):
            raise InvalidConfig(
                f"{self.path}: cannot be the cache: it belongs to user {status.st_uid}, and what lies in it is code; "
                f"give a folder of user {os.geteuid()}"
            )
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise InvalidConfig(
                f"{self.path}: cannot be the cache: others may write to it (mode {stat.S_IMODE(status.st_mode):04o}), "
                f"and what lies in it is code; chmod go-w {self.path}, or give a new folder in it"
            )

    def entry(self, provider: str, key: str) -> Entry:
        return Entry(self.path / provider, key)

    def entries(self, provider: str = "") -> list[Entry]:
        """Of one provider or of all, unfinished builds too, and nothing that is not ours: the cache may have been
        given a folder with other things in it. Raises OSError.
        """
        folders = [self.path / provider] if provider else sorted(self.path.iterdir()) if self.path.exists() else []
        return [
            Entry(folder, path.name)
            for folder in folders
            if folder.is_dir()
            for path in sorted(folder.iterdir())
            if is_key(path.name) and path.is_dir() and Entry(folder, path.name).is_ours
        ]

    def kept(self) -> list[Kept]:
        """Raises OSError."""
        return [Kept(entry, entry.size_bytes, entry.last_used_s) for entry in self.entries()]

    def evict(self, going: Iterable[Kept]) -> list[Kept]:
        """Removes those that nobody uses or builds; returns them. Raises OSError."""
        return [each for each in going if self._evict(each.entry)]

    def sweep(self) -> int:
        """Removes what builds that never ended have left, and locks of nothing. Returns how many. Raises OSError."""
        ended = sum(self._evict(entry) for entry in self.entries() if entry.record() is None)
        for path in self.path.glob(f"*/*{_LOCK}"):
            entry = Entry(path.parent, path.name.removesuffix(_LOCK))
            if is_key(entry.key) and not entry.folder.exists():
                self._evict(entry)
        return ended

    def is_in_use(self, entry: Entry) -> bool:
        """Whether a session uses it, or somebody builds it. Raises OSError."""
        if not entry.lock_path.exists():
            return False
        locks = entry.locks()
        try:
            return not locks.own_if_free()
        finally:
            locks.close()

    def _evict(self, entry: Entry) -> bool:
        locks = entry.locks()
        try:
            if not locks.own_if_free():
                return False
            entry.remove()
            locks.remove()
        finally:
            locks.close()
        return True
