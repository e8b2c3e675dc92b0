"""Every model of the repository: which versions serve, and how to find, load and unload them."""

import threading
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace

import structlog

from ortolan_backends.runtime.load_handle import LoadHandle
from ortolan_server.allocation import Allocation
from ortolan_server.chains.registry import Registry
from ortolan_server.errors import InvalidRequest, ModelNotFound, ModelNotReady
from ortolan_server.lifecycle.allowed import allowed_below, why_unfit
from ortolan_server.lifecycle.history import EventKind
from ortolan_server.lifecycle.loading import Loader, load_failed
from ortolan_server.lifecycle.model import Model
from ortolan_server.lifecycle.operations import Operations
from ortolan_server.lifecycle.placing import Placer
from ortolan_server.lifecycle.recovery import Key, Outcome, Recovery
from ortolan_server.lifecycle.states import State
from ortolan_server.lifecycle.threads import warn_of_too_many
from ortolan_server.lifecycle.version import ModelVersion
from ortolan_server.repository import ModelEntry, ModelToml, Repository
from ortolan_server.repository.given import Given
from ortolan_server.repository.uploads import Upload

__all__ = ["ModelManager", "parse_version"]

log = structlog.get_logger()

_VERSION_DIGITS = 18  # what fits in an int64

_UNLOADED = "the model was unloaded"
_STOPPING = "the server is stopping"

Listener = Callable[[ModelVersion], None]
RemovalListener = Callable[[str], None]


class ModelManager:
    """Loads happen one at a time; finding a version never waits for one."""

    def __init__(
        self,
        repository: Repository,
        registry: Registry,
        allocation: Allocation,
        *,
        drain_timeout_s: float,
        initial: Collection[str] | None = None,
    ) -> None:
        """`initial`: the models that are loaded at start, while others wait until they are asked for; None: all.

        With `initial` readiness waits for what was asked for and not unloaded since; without it, for every model.
        """
        self.repository = repository
        self._registry = registry
        self._loader = Loader(registry, allocation.cores, self._configs, self._notify, self._watch)
        self._placer = Placer(self._loader, self._notify, self._watch, drain_timeout_s)
        self._cores = allocation.cores
        self._models = {
            name: Model(entry, expected=True)
            for name, entry in repository.models.items()
            if initial is None or name in initial
        }
        self._on_demand = initial is not None
        # What `find` answers, by model and by version as requests name it: renewed after each change of a state.
        self._serving: dict[str, dict[str, ModelVersion]] = {}
        self._renewing = threading.Lock()
        self._listeners: list[Listener] = []
        self._removal_listeners: list[RemovalListener] = []
        self._control = threading.Lock()
        self._operations = Operations()
        self._recovery = Recovery(self._recover)

    @property
    def models(self) -> Iterable[Model]:
        return list(self._models.values())

    @property
    def versions(self) -> list[ModelVersion]:
        """Every version that was ever loaded and not replaced, by model and number."""
        return [version for model in self.models for _, version in sorted(model.versions.copy().items())]

    @property
    def waiting(self) -> list[str]:
        """Models on disk that nobody has asked for yet, sorted; without `initial` there are none."""
        return [name for name in self.repository.names() if name not in self._models] if self._on_demand else []

    @property
    def ready(self) -> bool:
        """Does every required model serve? True for an empty repository: the app decides what that means."""
        return all(model.serving for model in self.models if model.expected and model.entry.config.required)

    @property
    def empty(self) -> bool:
        return not any(model.expected or model.serving for model in self.models)

    @property
    def broken(self) -> list[str]:
        """Models whose rungs were tried, and none kept the contract or was allowed to serve without."""
        return sorted({version.model for version in self.versions if version.contract_broken})

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """`listener` hears of every change of a version, on the thread that made it. Returns how to leave."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def subscribe_removals(self, listener: RemovalListener) -> None:
        """`listener` hears the name of every model that is not known any more."""
        self._removal_listeners.append(listener)

    def load_all(self) -> None:
        """Loads every model; one that fails leaves the others alone."""
        warn_of_too_many(self._cores, self._configs())
        for model in self.models:
            with self._operations.begin(model.entry.name) as handle, self._control:
                if not handle.cancelled:
                    self._placer.load_wanted(model, lambda _model, _number: True, handle, force=False)

    def load(self, name: str, *, force: bool = False) -> None:
        """Loads or reloads a model from what is on disk now.

        The version that serves goes on serving until the new one is ready, and stays if the new one fails, or if its
        assignment is worse and it is not taken by `force`. Raises ModelNotFound, LoadFailed.
        """
        self._registry.look_again()
        with self._operations.begin(name) as handle, self._control:
            self._load_from_disk(name, lambda _model, _number: True, handle, force=force)

    def load_given(self, name: str, given: Given, upload: Upload | None = None, *, force: bool = False) -> None:
        """Like `load`, by another configuration than the one on disk, or of files that are not from there at all.

        All versions that are wanted are taken, or none: then nothing has changed. It holds until the next load. The
        upload is the manager's from here on. Raises ModelNotFound, LoadFailed.
        """
        with self._operations.begin(name) as handle, self._control:
            entry = upload.entry(name, given) if upload else self.repository.read_given(name, given)
            if entry is None:
                raise ModelNotFound(f"no model {name!r} in the repository")
            serving = set(self._serving.get(name, {}).values())
            try:
                loaded = self._loader.load_all(entry, serving, handle, force=force)
            except BaseException:
                if upload:
                    upload.remove()
                raise
            model = self._models.setdefault(name, Model(entry, expected=False))
            model.entry = entry
            model.uploads += [upload] if upload else []
            for number, fresh in loaded.items():
                self._placer.replace(model, number, fresh)
            self._placer.drop(model, set(model.versions) - set(loaded))
            self._settle(model)
            warn_of_too_many(self._cores, self._configs())

    def refresh(self, name: str) -> None:
        """Like `load` without force, but leaves alone the versions whose files are those that were last tried.

        Raises ModelNotFound, LoadFailed.
        """
        with self._operations.begin(name) as handle, self._control:
            self._load_from_disk(name, Model.is_due, handle, force=False)

    def remove(self, name: str) -> None:
        """Drains and unloads every version of a model that is gone from the disk, and forgets it."""
        self._operations.cancel(name, _UNLOADED)
        with self._control:
            model = self._models.get(name)
            if model is None:
                return
            model.expected = False  # first, as in `unload`
            self._placer.unload(model)
            del self._models[name]
            self._renew(name)
            for listener in self._removal_listeners:
                listener(name)

    def unload(self, name: str) -> None:
        """Drains and unloads every version of a model; loads of it that go on are given up. One that nobody has asked
        for is unloaded as it is. Raises ModelNotFound.
        """
        self._operations.cancel(name, _UNLOADED)
        with self._control:
            if name in self.waiting:
                return
            model = self.model(name)
            model.expected &= not self._on_demand  # before its versions go: who hears of it asks for `ready`
            self._placer.unload(model)
            model.remove_idle_uploads()

    def model(self, name: str) -> Model:
        """Raises ModelNotFound."""
        found = self._models.get(name)
        if found is None:
            if self._on_demand and name in self.repository.models:
                raise ModelNotFound(f"model {name!r} is in the repository and not loaded: RepositoryModelLoad loads it")
            known = ", ".join(sorted(self._models)) or "none"
            raise ModelNotFound(f"no model {name!r}; this server has: {known}")
        return found

    def entry(self, name: str) -> ModelEntry:
        """What a model was loaded from; of one that nobody has asked for, what is on disk now. Raises ModelNotFound."""
        waiting = self.repository.rescan_model(name) if name in self.waiting else None
        return waiting or self.model(name).entry

    def aside(self) -> AbstractContextManager[LoadHandle]:
        """For opening a model that is not to serve: the server's end cancels it, and an unload does not."""
        return self._operations.begin("")

    def find(self, model: str, version: str) -> ModelVersion:
        """The serving version asked for; empty: the highest that serves.

        Raises ModelNotFound, ModelNotReady, and InvalidRequest for a version that is not a positive integer.
        """
        serving = self._serving.get(model)
        found = None if serving is None else serving.get(version)
        if found is not None:
            return found
        found = self.known(model, version)
        if not found.serves:
            raise found.not_ready()
        return found

    def known(self, model: str, version: str) -> ModelVersion:
        """Like `find`, but a version that does not serve will do: the newest, when none is named."""
        holder = self.model(model)
        if version:
            numbered = holder.versions.get(parse_version(version))
            if numbered is None:
                loaded = ", ".join(str(other) for other in sorted(holder.versions.copy())) or "none"
                raise ModelNotFound(f"model {model!r} has no version {version}; it has: {loaded}")
            return numbered
        found = holder.serving or holder.newest
        if found is None:
            reason = f": {holder.entry.error}" if holder.entry.error else ""
            raise ModelNotReady(f"model {model!r} is not loaded{reason}")
        return found

    def stop_loading(self) -> None:
        """Gives up every load that goes on, and each that is asked for from now on. What serves goes on serving."""
        self._operations.cancel_all(_STOPPING)
        self._recovery.stop()

    def stop(self, timeout_s: float) -> None:
        """Drains every version side by side, for at most `timeout_s`.

        Loads are given up; one ends as soon as its provider lets it, which is its caller's to await.
        """
        self.stop_loading()
        threads = [threading.Thread(target=version.unload, args=(timeout_s,)) for version in self.versions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _configs(self) -> dict[str, ModelToml]:
        return {model.entry.name: model.entry.config for model in self.models}

    def _load_from_disk(self, name: str, due: Callable[[Model, int], bool], handle: LoadHandle, *, force: bool) -> None:
        entry = self.repository.rescan_model(name)
        known = self._models.get(name)
        if entry is None:
            if known is not None and not known.versions:
                del self._models[name]  # its files were wrong, and are gone
            raise ModelNotFound(f"no model {name!r} in the repository")
        model = self._models[name] = known or Model(entry, expected=False)
        # A broken model.toml does not tell whether the model is required: what it said before holds on.
        model.entry = replace(model.entry, error=entry.error) if entry.error else entry
        warn_of_too_many(self._cores, self._configs())
        failures = self._placer.load_wanted(model, due, handle, force=force)
        self._settle(model)
        if failures:
            raise load_failed(name, failures)

    def _settle(self, model: Model) -> None:
        """After a load, whatever came of it."""
        model.expected = model.expected or model.serving is not None
        model.remove_idle_uploads()

    def _watch(self, version: ModelVersion) -> None:
        """A version has lost its rung: it is to be tried again."""
        failover = version.config.failover
        self._recovery.watch((version.model, version.number), failover.probe_after_s, failover.probe_most_s)

    def _recover(self, key: Key) -> Outcome:
        """One try to get a rung back that a version has lost, on the thread of the recovery."""
        name, number = key
        model = self._models.get(name)
        version = model.versions.get(number) if model else None
        if model is None or version is None:
            return Outcome.OVER
        if version.state in (State.NEW, State.LOADING, State.WARMING):
            return Outcome.NOT_YET  # once it is loaded it may lack the same rung
        outcome = version.climb_back() if version.serves else self._load_again(model, version)
        if outcome is Outcome.OVER and model.versions.get(number) is not version:
            return Outcome.NOT_YET  # that which came in its place may lack it, too
        return outcome

    def _load_again(self, model: Model, version: ModelVersion) -> Outcome:
        """One that has failed because no rung was left."""
        name, number = version.model, version.number
        if version.chain is None or not _may_come_back(model, version):
            return Outcome.OVER
        if reason := why_unfit(self._registry, version.chain, allowed_below(version.chain, 0)):
            version.history.note(EventKind.PROBE_FAILED, reason)
            return Outcome.NOT_YET
        with self._operations.begin(name) as handle, self._control:
            if handle.cancelled or not _may_come_back(model, version):
                return Outcome.OVER
            if self._placer.load_version(model, number, handle, force=True):
                return Outcome.NOT_YET
            return Outcome.PARTLY if model.versions[number].still_lacks(version) else Outcome.RECOVERED

    def _notify(self, version: ModelVersion) -> None:
        holder = self._models.get(version.model)
        if holder is None or holder.versions.get(version.number) is not version:
            return  # loading aside, or replaced already
        self._renew(version.model)
        for listener in list(self._listeners):
            try:
                listener(version)
            except Exception:
                # Whoever listens badly must not keep a version from its next state.
                log.exception("listener_failed", model=version.model, version=version.version)

    def _renew(self, name: str) -> None:
        """Looks again which versions of a model serve, after the state of one has changed."""
        # One at a time: the last to look sees all that was changed.
        with self._renewing:
            model = self._models.get(name)
            best = model.serving if model else None
            if model is None or best is None:
                self._serving.pop(name, None)
                return
            versions = {version.version: version for version in list(model.versions.values()) if version.serves}
            self._serving[name] = {**versions, "": best}


def _may_come_back(model: Model, version: ModelVersion) -> bool:
    """Is a version that failed still the one of its number, on disk, and not unloaded?"""
    is_known = model.versions.get(version.number) is version and version.number in model.entry.versions
    return is_known and version.state is State.FAILED and not version.cancelled


def parse_version(version: str) -> int:
    """A version as the protocol writes it. Raises InvalidRequest."""
    if not version.isascii() or not version.isdigit() or len(version) > _VERSION_DIGITS or int(version) < 1:
        raise InvalidRequest(f"version {version[:40]!r} is not a positive integer")
    return int(version)
