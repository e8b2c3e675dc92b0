"""The backends that are installed, by their short names."""

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points

from ortolan_backends.contract import Backend
from ortolan_backends.errors import BackendError, UnknownProvider

__all__ = ["ENTRY_POINT_GROUP", "Catalog"]

ENTRY_POINT_GROUP = "ortolan.backends"


class Catalog:
    """Backends published as entry points. They are listed without being imported, and imported once."""

    def __init__(self, published: Mapping[str, EntryPoint]) -> None:
        self._published = dict(published)
        self._loaded: dict[str, Backend] = {}

    @classmethod
    def from_entry_points(cls) -> "Catalog":
        """Everything published in this environment. Raises BackendError when two packages claim one name."""
        published: dict[str, EntryPoint] = {}
        for entry in entry_points(group=ENTRY_POINT_GROUP):
            other = published.setdefault(entry.name, entry)
            # One package may be found twice, along two entries of sys.path.
            if other.value != entry.value:
                packages = f"{_package(other)} ({other.value}) and {_package(entry)} ({entry.value})"
                raise BackendError(f"two backends are called '{entry.name}': {packages}; uninstall one of them")
        return cls(published)

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._published))

    def get(self, name: str) -> Backend:
        """Raises UnknownProvider, and BackendError when its package is broken."""
        if name not in self._published:
            known = ", ".join(self.names()) or "none: no package publishes a backend"
            short = name.lower().removesuffix("executionprovider")
            hint = f"did you mean '{short}'? " if short in self._published else ""
            raise UnknownProvider(f"no provider '{name}'; {hint}known: {known}")
        if name not in self._loaded:
            self._loaded[name] = _load(self._published[name])
        return self._loaded[name]

    def short_name(self, provider: str) -> str:
        """Our name of a provider that ONNX Runtime names, e.g. `cuda` for `CUDAExecutionProvider`.

        A provider without a working backend keeps its name.
        """
        for name in self.names():
            try:
                backend = self.get(name)
            except BackendError:
                continue
            if backend.provider == provider:
                return name
        return provider


def _load(entry: EntryPoint) -> Backend:
    try:
        backend = entry.load()
    except Exception as error:  # a third party's import may raise anything
        raise BackendError(f"backend '{entry.name}' of {_package(entry)} cannot be imported: {error}") from error
    if not isinstance(backend, Backend):
        raise BackendError(f"backend '{entry.name}' of {_package(entry)}: {entry.value} is not a backend")
    if backend.name != entry.name:
        raise BackendError(f"backend '{entry.name}' of {_package(entry)} calls itself '{backend.name}'")
    return backend


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else "an unknown package"
