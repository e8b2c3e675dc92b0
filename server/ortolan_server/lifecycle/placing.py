"""Which version of a model takes whose place, when it is loaded from what is on disk."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import structlog

from ortolan_backends.runtime.load_handle import LoadHandle
from ortolan_server.errors import InvalidConfig
from ortolan_server.lifecycle.loading import Loader, why_not
from ortolan_server.lifecycle.model import Model
from ortolan_server.lifecycle.version import ModelVersion

__all__ = ["Placer"]

log = structlog.get_logger()


class Placer:
    """Changes the versions of a model: one load at a time, which is its caller's to see to."""

    def __init__(
        self,
        loader: Loader,
        changed: Callable[[ModelVersion], None],
        lost_rung: Callable[[ModelVersion], None],
        drain_timeout_s: float,
    ) -> None:
        """`changed` is told of a version that has taken its place, `lost_rung` of one that had lost a rung by then."""
        self._loader = loader
        self._changed = changed
        self._lost_rung = lost_rung
        self._drain_timeout_s = drain_timeout_s

    def load_wanted(
        self, model: Model, due: Callable[[Model, int], bool], handle: LoadHandle, *, force: bool
    ) -> list[str]:
        """Loads those versions its policy wants that are due, drops what it does not want.

        Returns the reasons of those that failed.
        """
        if model.entry.error:
            return [_unusable(model, model.entry.error)]
        for note in model.entry.not_honoured:
            log.warning(
                "triton_setting_not_honoured", model=model.entry.name, key=note.key, value=note.value, why=note.text
            )
        try:
            wanted = model.entry.wanted
        except InvalidConfig as error:
            return [_unusable(model, str(error))]
        failures = [
            reason
            for number in wanted
            if due(model, number) and (reason := self.load_version(model, number, handle, force=force))
        ]
        if not failures and all(model.versions[number].serves for number in wanted):
            self.drop(model, set(model.versions) - set(wanted))
        return failures

    def load_version(self, model: Model, number: int, handle: LoadHandle, *, force: bool) -> str:
        """Loads a version aside and puts it in its place. Returns why not, or nothing."""
        entry = model.entry
        model.tried[number] = model.files_of(number)
        before = model.versions.get(number)
        fresh = self._loader.make(entry, number, before)
        if before is None or not before.serves:
            model.versions[number] = fresh  # so that LOADING shows
            if before is not None:
                before.unload(0.0)  # one whose device failed still has its session
        self._loader.load(fresh, entry, handle)
        failure = why_not(before, fresh, force=force)
        if model.versions[number] is not fresh and before is not None:
            if failure:
                fresh.unload(0.0)
                before.reload_refused(failure)
            else:
                self.replace(model, number, fresh)
        return f"version {number}: {failure}" if failure else ""

    def replace(self, model: Model, number: int, fresh: ModelVersion) -> None:
        """Puts a version in the place of what serves under its number."""
        before = model.versions.get(number)
        if before is not None:
            fresh.history.take_up(before.history)  # a device may have failed while this one was loaded
        model.versions[number] = fresh
        self._changed(fresh)
        if fresh.lost_rungs:  # aside, where nobody could try it again
            self._lost_rung(fresh)
        if before is not None:
            before.unload(self._drain_timeout_s)
            fresh.history.take_up(before.history)

    def drop(self, model: Model, numbers: Iterable[int]) -> None:
        """Drains and unloads these versions, and forgets them."""
        for number in sorted(numbers):
            model.versions[number].unload(self._drain_timeout_s)
            del model.versions[number]  # only now: listeners hear nothing of versions that are not there

    def unload(self, model: Model) -> None:
        """Drains and unloads every version, which stay known as such."""
        for version in model.versions.values():
            version.unload(self._drain_timeout_s)


def _unusable(model: Model, reason: str) -> str:
    log.error("model_unusable", model=model.entry.name, reason=reason)
    model.tried.clear()
    model.entry = replace(model.entry, error=reason)
    for version in model.versions.values():
        if version.serves:
            version.reload_refused(reason)
    return reason
