"""The cache of what providers compile: found, built once, proven to be loaded, or built anew.

A hit is proven, not supposed: the provider opened the session and left every file that was there as it was. Some do
not: they find that they cannot use what is kept, and compile again without a word.
"""

import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from ortolan_backends.contract import Caches, NotCached, Probe
from ortolan_backends.errors import OpenRefused
from ortolan_backends.options import encode
from ortolan_backends.runtime.load_handle import LoadHandle
from ortolan_backends.runtime.log import LogLine
from ortolan_backends.runtime.model import ModelFile
from ortolan_backends.runtime.session import OpenRung, Session
from ortolan_server.cache.entry import Entry, Marks, marks, size_of
from ortolan_server.cache.folder import CacheFolder, too_many
from ortolan_server.cache.key import Digests, KeyParts, changes
from ortolan_server.cache.locks import KeyLocks
from ortolan_server.cache.room import why_no_room
from ortolan_server.cache.use import CacheResult, CacheUse
from ortolan_server.errors import InvalidConfig
from ortolan_server.repository.external_data import external_files

__all__ = ["Cache"]

log = structlog.get_logger()

Opened = tuple[Session, list[LogLine]]
Opening = Callable[[OpenRung], Opened]

_FILES_NAMED = 3
_NOTHING_YET = "the provider had kept nothing"


class _NotKept(Exception):
    """The cache cannot be used for this opening; the text says why."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What one opening looks for."""

    entry: Entry
    parts: KeyParts
    path: Path
    """Of the model."""
    model_bytes: int
    """With its external data: about what a provider makes of it."""
    rung: OpenRung
    """With the provider's cache in the entry."""
    writes_while_running: bool

    def fault(self) -> str | None:
        """Why the entry cannot be used; None: it is whole. Empty: there is none. Raises OSError."""
        record = self.entry.record()
        if record is None:
            return ""
        if not marks(self.entry.files):
            return _NOTHING_YET
        changed = "" if self.writes_while_running else self.entry.fault(record)
        return f"{changed} is not as the provider wrote it" if changed else None


class Cache:
    """Opens sessions through what is kept in one folder, which other processes may use too."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        """Touches nothing. Beyond `limit_bytes` the longest unused entries go, never one that is in use."""
        self.folder = CacheFolder(folder)
        self.limit_bytes = limit_bytes
        self._digests = Digests()
        self._counting = threading.Lock()
        self._uses: Counter[tuple[str, CacheResult]] = Counter()
        self._evictions = 0

    @property
    def uses(self) -> Mapping[tuple[str, CacheResult], int]:
        """Openings by provider and result."""
        with self._counting:
            return dict(self._uses)

    @property
    def evictions(self) -> int:
        return self._evictions

    @property
    def size_bytes(self) -> int:
        """Of all entries, those of other processes too; 0 where the folder cannot be read."""
        try:
            return sum(kept.size_bytes for kept in self.folder.kept())
        except OSError:
            return 0

    def open(
        self, model: ModelFile, rung: OpenRung, probe: Probe, opening: Opening, handle: LoadHandle | None = None
    ) -> tuple[Opened, CacheUse | None]:
        """What `opening` makes of the rung, with the provider's own cache placed here.

        The use is None for a provider that keeps nothing, or keeps it where its options say. What is wrong with the
        cache is no reason not to open: the use tells it. Raises what `opening` raises, and LoadCancelled
        when `handle` says so while others build.
        """
        backend = rung.backend
        if not isinstance(backend, Caches):
            return opening(rung), None
        placed = backend.cache_in(rung.options, self.folder.path)
        if isinstance(placed, NotCached) and placed.by_choice:
            return opening(rung), None
        if isinstance(placed, NotCached):
            opened, use = _without(rung, opening, placed.reason)
        else:
            try:
                self.folder.require_safe()
                opened, use = self._open(self._wanted(model, rung, probe, backend), opening, handle or LoadHandle())
            except (_NotKept, InvalidConfig) as error:
                opened, use = _without(rung, opening, str(error))
            except OSError as error:
                opened, use = _without(rung, opening, f"{error.filename or self.folder.path}: {error.strerror}")
        self._note(backend.name, use, model.path)
        return opened, use

    def _wanted(self, model: ModelFile, rung: OpenRung, probe: Probe, backend: Caches) -> _Wanted:
        """Raises OSError, and _NotKept."""
        external = [model.path.parent / location for location in external_files(model.proto)]
        devices = backend.compiles_for(rung.options, probe.devices)
        parts = KeyParts(
            provider=rung.backend.name,
            model=self._digests.of_model(model.source, external),
            versions=dict(probe.versions),
            devices=tuple(device.name for device in devices),
            options=encode(rung.options),
        )
        entry = self.folder.entry(rung.backend.name, parts.key)
        placed = backend.cache_in(rung.options, entry.files)
        if isinstance(placed, NotCached):
            raise _NotKept(placed.reason)
        return _Wanted(
            entry,
            parts,
            model.path.absolute(),
            sum(path.stat().st_size for path in (model.path, *external)),
            OpenRung(rung.backend, placed),
            backend.writes_while_running(rung.options),
        )

    def _open(self, wanted: _Wanted, opening: Opening, handle: LoadHandle) -> tuple[Opened, CacheUse]:
        """Raises OSError and _NotKept for what is wrong with the cache, and what `opening` raises."""
        locks = wanted.entry.locks(handle.require_wanted)
        start_s = time.monotonic()
        try:
            wanted.entry.folder.parent.mkdir(exist_ok=True, mode=0o700)
            with handle.busy(lambda: "it waits for another process, or another model, that compiles the same"):
                locks.opening.share()
                fault = wanted.fault()
                if fault is not None:
                    locks.opening.own()
                    fault = wanted.fault()  # somebody may have built it while we waited
            if fault is None:
                locks.opening.share()
                opened, use = self._load(wanted, locks, opening, time.monotonic() - start_s)
            else:
                opened, use = self._build(wanted, locks, opening, fault)
        except BaseException:
            locks.close()
            raise
        locks.opening.close()
        weakref.finalize(opened[0], locks.use.close)
        return opened, use

    def _load(self, wanted: _Wanted, locks: KeyLocks, opening: Opening, waited_s: float) -> tuple[Opened, CacheUse]:
        """Of an entry that is whole."""
        locks.use.share()
        locks.use.touch()
        before = marks(wanted.entry.files)
        start_s = time.monotonic()
        try:
            opened = opening(wanted.rung)
        except OpenRefused as error:
            locks.opening.own()
            return self._build(wanted, locks, opening, f"what was kept did not open: {error.reason}")
        built = _differing(before, marks(wanted.entry.files))
        if not built:
            return opened, self._use(wanted, CacheResult.HIT, waited_s)
        seconds = time.monotonic() - start_s
        reason = f"the provider did not take what was kept, and compiled again: {_named(built)} is new"
        return opened, self._keep(wanted, CacheResult.MISS, seconds, reason)

    def _build(self, wanted: _Wanted, locks: KeyLocks, opening: Opening, fault: str) -> tuple[Opened, CacheUse]:
        """While nobody else opens through the entry. Raises _NotKept when a session uses what is to be replaced, and
        when there was no room for what the provider writes.
        """
        older = () if fault else self._older(wanted)
        locks.use.close()
        if locks.use.own_if_free():
            wanted.entry.prepare()
        elif wanted.fault() != _NOTHING_YET:
            raise _NotKept(f"{fault or 'it is not whole'}, and a session still uses it")
        locks.use.share()
        locks.use.touch()
        start_s = time.monotonic()
        try:
            opened = opening(wanted.rung)
        except BaseException as error:
            no_room = why_no_room(wanted.entry.files, wanted.model_bytes) if isinstance(error, OpenRefused) else ""
            locks.use.close()
            if locks.use.own_if_free():
                wanted.entry.remove()
            if no_room:
                raise _NotKept(no_room) from error
            raise
        seconds = time.monotonic() - start_s
        if older:
            use = self._keep(wanted, CacheResult.STALE, seconds, "; ".join(older))
        else:
            use = self._keep(wanted, CacheResult.MISS, seconds, fault)
        locks.opening.close()
        self._evict()
        return opened, use

    def _keep(self, wanted: _Wanted, result: CacheResult, seconds: float, reason: str) -> CacheUse:
        """Marks as whole what the provider has written."""
        try:
            if not wanted.writes_while_running and not marks(wanted.entry.files):
                wanted.entry.remove()
                return CacheUse(CacheResult.MISS, seconds=seconds, reason="not kept: the provider wrote nothing")
            wanted.entry.complete(wanted.parts, wanted.path, datetime.now(UTC), seconds)
        except OSError as error:
            reason = f"not kept: {error.filename or wanted.entry.folder}: {error.strerror}"
            return CacheUse(CacheResult.MISS, seconds=seconds, reason=reason)
        return self._use(wanted, result, seconds, reason)

    def _use(self, wanted: _Wanted, result: CacheResult, seconds: float, reason: str = "") -> CacheUse:
        files = wanted.entry.files
        return CacheUse(result, wanted.entry.key, str(files), size_of(files), seconds, reason)

    def _older(self, wanted: _Wanted) -> tuple[str, ...]:
        """What has changed since the nearest entry of the same model and provider; empty: there is none."""
        found = []
        for entry in self.folder.entries(wanted.parts.provider):
            record = entry.record()
            if record is not None and record.path == str(wanted.path) and entry.key != wanted.entry.key:
                found.append(changes(record.parts, wanted.parts))
        return min(found, key=len, default=())

    def _evict(self) -> None:
        try:
            self.folder.sweep()
            gone = self.folder.evict(too_many(self.folder.kept(), self.limit_bytes))
        except OSError as error:
            log.warning("cache_eviction_failed", folder=str(self.folder.path), reason=str(error))
            return
        for kept in gone:
            log.info("cache_entry_evicted", provider=kept.entry.provider, key=kept.entry.key, bytes=kept.size_bytes)
        with self._counting:
            self._evictions += len(gone)

    def _note(self, provider: str, use: CacheUse, path: Path) -> None:
        with self._counting:
            self._uses[provider, use.result] += 1
        event = {"provider": provider, "result": str(use.result), "path": str(path), "reason": use.reason}
        if use.folder:
            log.info("cache_used", key=use.key, bytes=use.size_bytes, **event)
        else:
            log.warning("cache_not_used", **event)


def _without(rung: OpenRung, opening: Opening, reason: str) -> tuple[Opened, CacheUse]:
    start_s = time.monotonic()
    opened = opening(rung)
    return opened, CacheUse(CacheResult.MISS, seconds=time.monotonic() - start_s, reason=f"not kept: {reason}")


def _differing(before: Marks, after: Marks) -> list[str]:
    """Files that were added or written again."""
    return [name for name, mark in after.items() if before.get(name) != mark]


def _named(names: Iterable[str]) -> str:
    *first, last = sorted(names)[:_FILES_NAMED]
    return f"{', '.join(first)} and {last}" if first else last
