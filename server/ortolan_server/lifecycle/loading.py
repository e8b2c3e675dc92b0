"""Loads versions aside, and says which of them may take the place of what serves."""

from collections.abc import Callable, Collection, Iterable, Mapping

import structlog

from ortolan_backends.runtime.load_handle import LoadHandle
from ortolan_server.chains.registry import Registry
from ortolan_server.errors import InvalidConfig, LoadFailed
from ortolan_server.lifecycle.comparing import why_worse
from ortolan_server.lifecycle.states import State
from ortolan_server.lifecycle.threads import threads_of_the_rest
from ortolan_server.lifecycle.version import ModelVersion
from ortolan_server.repository import ModelEntry, ModelToml

__all__ = ["Loader", "load_failed", "why_not"]

log = structlog.get_logger()


class Loader:
    """Makes versions of what was found on disk or given, and loads them."""

    def __init__(
        self,
        registry: Registry,
        cores: int,
        configs: Callable[[], Mapping[str, ModelToml]],
        changed: Callable[[ModelVersion], None],
        lost_rung: Callable[[ModelVersion], None],
    ) -> None:
        """`configs` are those of all models by name, now.

        `changed` and `lost_rung` are of the versions it loads: every change of one, and that one has lost its rung.
        """
        self._registry = registry
        self._cores = cores
        self._configs = configs
        self._changed = changed
        self._lost_rung = lost_rung

    def make(self, entry: ModelEntry, number: int, before: ModelVersion | None) -> ModelVersion:
        """A version that is NEW, and goes on with the history of the one before it."""
        # A copy: one that is loaded aside and refused must leave no trace.
        history = before.history.copy() if before else None
        return ModelVersion(
            entry.name, number, entry.versions[number], entry.config, self._changed, history, warnings=entry.warnings
        )

    def load(self, fresh: ModelVersion, entry: ModelEntry, handle: LoadHandle) -> None:
        """Loads a version, or refuses it: its state says which. `handle` is that of all that is loaded at once."""
        if fresh.number in entry.refused:
            fresh.refuse(entry.refused[fresh.number])
            return
        threads = threads_of_the_rest(self._cores, {**self._configs(), entry.name: entry.config})
        with handle.hearing(fresh.cancel):
            fresh.load(self._registry, entry.where, entry.folder, threads, lambda: self._lost_rung(fresh))

    def load_all(
        self,
        entry: ModelEntry,
        serving: Collection[ModelVersion],
        handle: LoadHandle,
        *,
        force: bool,
    ) -> dict[int, ModelVersion]:
        """The versions that an entry's policy wants, each loaded aside and fit to take the place of that of its number.

        Raises LoadFailed when one of them is not; then none is left, and `serving` know why.
        """
        loaded: dict[int, ModelVersion] = {}
        failure = entry.error or ""
        try:
            wanted = () if failure else entry.wanted
        except InvalidConfig as error:
            failure = str(error)
        else:
            for number in wanted:
                before = next((version for version in serving if version.number == number), None)
                fresh = loaded[number] = self.make(entry, number, before)
                self.load(fresh, entry, handle)
                if reason := why_not(before, fresh, force=force):
                    failure = f"version {number}: {reason}"
                    break
        if not failure:
            return loaded
        for fresh in loaded.values():
            fresh.unload(0.0)
        for version in serving:
            version.reload_refused(failure)
        raise load_failed(entry.name, [failure])


def why_not(before: ModelVersion | None, fresh: ModelVersion, *, force: bool) -> str:
    """Why a version that was loaded aside does not take the place of `before`; empty: it does."""
    if fresh.state is State.FAILED:
        return fresh.reason
    if force or before is None or not before.serves or not before.report or not fresh.report:
        return ""
    why = why_worse(before.report, fresh.report)
    if not why:
        return ""
    return (
        f"its assignment is worse than that of the version that serves: {why}; to take it all the same: "
        "RepositoryModelLoad with the parameter ortolan_force = true, or with --model-control poll move the model's "
        "folder away and back"
    )


def load_failed(model: str, failures: Iterable[str]) -> LoadFailed:
    """The error, which the log has too."""
    reason = "; ".join(failures)
    log.warning("model_refused", model=model, reason=reason)
    return LoadFailed(f"model {model!r}: {reason}")
