"""Follows the repository's folder: loads what is new or changed, unloads what is gone."""

import threading
from collections.abc import Mapping
from contextlib import suppress

import structlog

from ortolan_server.errors import InvalidConfig, OrtolanError
from ortolan_server.lifecycle.manager import ModelManager
from ortolan_server.repository import Repository
from ortolan_server.repository.watching import Snapshot, changed_files, decide

__all__ = ["Poller"]

log = structlog.get_logger()

_SHOWN_FILES = 10


class Poller:
    """Looks every `interval_s`, on a thread of its own. Building it looks at nothing."""

    def __init__(self, repository: Repository, manager: ModelManager, interval_s: float) -> None:
        """`repository` is as it was scanned for `manager`: what changes from then on is acted on."""
        self._repository = repository
        self._manager = manager
        self._interval_s = interval_s
        self._acted: dict[str, Snapshot] = {name: entry.files for name, entry in repository.models.items()}
        self._before: Mapping[str, Snapshot] = dict(self._acted)
        self._unreadable = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="poller", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Begins nothing new. False when a load that it had begun outlived the time."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def step(self) -> None:
        """One look, and what follows from it."""
        try:
            now = self._repository.look()
        except InvalidConfig as error:
            # Of a volume that is away for a while; that it has no models is not said.
            self._note_unreadable(str(error))
            return
        self._note_unreadable("")
        changes = decide(self._acted, self._before, now)
        self._before = now
        for name in changes.restless:
            log.debug("folder_restless", model=name)
        for name in changes.gone:
            log.info("folder_gone", model=name)
            self._manager.remove(name)
            del self._acted[name]
        for name in changes.settled:
            if self._stop.is_set():
                return
            self._refresh(name, now[name])

    def _refresh(self, name: str, files: Snapshot) -> None:
        changed = changed_files(self._acted.get(name, {}), files)
        log.info("folder_changed", model=name, files=changed[:_SHOWN_FILES], count=len(changed))
        self._acted[name] = files
        with suppress(OrtolanError):  # the log has it, and it is tried again when the folder changes
            self._manager.refresh(name)

    def _note_unreadable(self, reason: str) -> None:
        """Once, when it begins, and once when it ends."""
        if reason and not self._unreadable:
            log.error("repository_unreadable", reason=reason, text="nothing is loaded or unloaded meanwhile")
        if self._unreadable and not reason:
            log.info("repository_readable")
        self._unreadable = reason

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            try:
                self.step()
            except Exception:
                log.exception("poll_crashed")
