"""Opens the model of one version, warmed up: at its load, and again when a device has failed."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from posixpath import normpath

from ortolan_backends.errors import DeviceFailure, OutOfMemory
from ortolan_backends.runtime.model import read_model
from ortolan_server.chains.chain import Chain
from ortolan_server.chains.load import Load
from ortolan_server.chains.registry import Registry
from ortolan_server.chains.report import ChainReport
from ortolan_server.errors import LoadFailed
from ortolan_server.lifecycle.allowed import allowed_below
from ortolan_server.lifecycle.first_runs import limit_s
from ortolan_server.lifecycle.opening import OpenModel, open_model
from ortolan_server.lifecycle.warming import warm_up
from ortolan_server.repository import ModelToml
from ortolan_server.repository.external_data import external_files
from ortolan_server.repository.watching import Snapshot, changed_files, look_at

__all__ = ["Opener"]


class Opener:
    """What it opens is that of the first load: files that have changed since are not taken for it.

    Once the `load` is cancelled it raises LoadCancelled.
    """

    def __init__(  # noqa: PLR0913 - all that a model is opened with
        self,
        registry: Registry,
        path: Path,
        chain: Chain,
        config: ModelToml,
        folder: Path,
        load: Load,
        takes_long: Callable[[], None] = lambda: None,
    ) -> None:
        """`folder` is that of the model's model.toml. `takes_long` is called once in each opening that does."""
        self._registry = registry
        self._path = path
        self._chain = chain
        self._config = config
        self._folder = folder
        self._load = load
        self._takes_long = takes_long
        self._files = self._look()

    def first(self, opened: Callable[[OpenModel], None]) -> OpenModel:
        """On the first rung that can serve; one whose device fails at the first runs cannot.

        `opened` is told of a session that is open and not yet warm. Without a session the report says why.
        """
        found = self._open(())
        while found.report.session is not None:
            opened(found)
            warm, failed_device = self._warmed(found)
            below = allowed_below(found.report.chain, found.report.rung)
            del found  # its memory may be needed on the next rung
            if not failed_device or not below:
                return warm
            found = self._open(below).following(warm.report.attempts)
        return found

    def on(self, rungs: Sequence[int]) -> OpenModel:
        """On the first of these rungs that can serve. Without a session the report says why."""
        if changed := self._changed():
            reason = f"its files have changed since it was loaded ({', '.join(changed)}): load it again"
            return OpenModel(ChainReport.untried(self._chain, reason), None)
        return self._warmed(self._open(rungs))[0]

    def _open(self, rungs: Sequence[int]) -> OpenModel:
        load = replace(self._load, rungs=rungs)
        with self._watched():
            return open_model(self._registry, self._path, self._chain, self._config, self._folder, load)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """A provider that hangs then can be neither interrupted nor left behind, but it can be told of."""
        timer = threading.Timer(self._config.failover.hang_after_s, self._takes_long)
        timer.name, timer.daemon = f"opening-{self._load.model}/{self._load.version}", True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _warmed(self, opened: OpenModel) -> tuple[OpenModel, bool]:
        """The model after its first runs; without a session, and whether the device was at fault, when they fail."""
        session = opened.report.session
        if session is None or opened.signature is None:
            return opened, False
        try:
            limit = limit_s(opened.report.assignment, self._config.failover)
            warm_up(session, opened.signature, opened.samples, self._load.model, self._load.handle, limit)
        except DeviceFailure as error:
            return opened.refused("warm", f"the device failed at the first run: {error}"), True
        except OutOfMemory as error:
            return opened.refused("warm", str(error)), True
        except LoadFailed as error:
            return opened.refused("warm", str(error)), False
        return opened, False

    def _look(self) -> Snapshot:
        folder = self._path.parent
        return look_at(folder, folder.resolve())

    def _changed(self) -> list[str]:
        """Files of the model that are not what they were. What else lies beside it, such as notes, is no part of it."""
        changed = changed_files(self._files, self._look())
        if not changed or self._path.name in changed:
            return changed
        data = {normpath(name) for name in external_files(read_model(self._path).proto)}
        return [name for name in changed if name in data]
