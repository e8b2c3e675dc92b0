"""What is on disk: a repository of models, one model's folder, or one `.onnx` file.

    <repository>/<model>/<version>/model.onnx     <repository>/<model>/model.toml is optional
    <repository>/<model>/model.onnx               version 1
    <model>/<version>/model.onnx                  one model's own folder, as KServe mounts it
    <model>/model.onnx                            the same, version 1
    <name>.onnx                                   version 1 of a model called <name>

Triton's layout is the first of these; its config.pbtxt is read where there is no model.toml. Names that begin
with a dot are skipped everywhere: Kubernetes keeps the data of its mounts in such folders, behind links.
"""

import os
import threading
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Self

import structlog

from ortolan_server.errors import InvalidConfig
from ortolan_server.repository.entry import (
    CONFIG_FILE,
    MODEL_FILE,
    TRITON_FILE,
    ModelEntry,
    read_model_file,
    read_model_folder,
    version_folders,
)
from ortolan_server.repository.given import Given
from ortolan_server.repository.names import printable_name
from ortolan_server.repository.watching import Snapshot, look_at

__all__ = ["ModelEntry", "Repository"]

_WANTED = f"wanted: a .onnx file, a folder with <model>/<version>/{MODEL_FILE}, or one model's folder"
_NO_MODELS = frozenset({"lost+found", "__pycache__"})

_log = structlog.get_logger()


class _Layout(Enum):
    REPOSITORY = "repository"
    MODEL_FOLDER = "model_folder"
    MODEL_FILE = "model_file"


class Repository:
    """The models at a path, as the last looks at the disk found them. Safe to use from several threads."""

    def __init__(self, path: Path, layout: _Layout, models: Mapping[str, ModelEntry]) -> None:
        self._path = path
        self._layout = layout
        self._models = dict(models)
        self._lock = threading.Lock()

    @classmethod
    def scan(cls, path: Path, *, allow_empty: bool = False) -> Self:
        """Looks at all that is there.

        A model that cannot be served is listed with its error: it must not hide the others. Raises
        InvalidConfig when the path is missing, cannot be read, has no model, or is no place for models.
        `allow_empty` permits a folder with nothing in it, to which models are added later.
        """
        path = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would name a model after the target of a link
        try:
            layout = _recognise(path)
            models = _read_all(path, layout)
        except OSError as error:
            raise InvalidConfig(f"{path}: cannot be read: {error.strerror}") from error
        if not models and not allow_empty:
            raise InvalidConfig(f"{path}: has no models; {_WANTED}")
        return cls(path, layout, models)

    @property
    def path(self) -> Path:
        """Absolute."""
        return self._path

    @property
    def models(self) -> Mapping[str, ModelEntry]:
        """Name → model, sorted by name: a snapshot that later looks do not change."""
        with self._lock:
            return MappingProxyType(dict(sorted(self._models.items())))

    def rescan_model(self, name: str) -> ModelEntry | None:
        """Looks at one model again, one that was not there before included.

        None when it is not there; it is then forgotten. `name` may come from a client: it is only ever compared
        with the names that are on disk. Raises InvalidConfig when the repository itself cannot be read.
        """
        try:
            entry = self._read_one(name)
        except OSError as error:
            raise InvalidConfig(f"{self._path}: cannot be read: {error.strerror}") from error
        with self._lock:
            if entry is None:
                self._models.pop(name, None)
            else:
                self._models[name] = entry
        return entry

    def names(self) -> list[str]:
        """Of the models that are there now, sorted; nothing of them is read. None when the path cannot be read."""
        try:
            return sorted(_model_folders(self._path)) if self._layout is _Layout.REPOSITORY else [self._only_name]
        except OSError:
            return []

    def look(self) -> Mapping[str, Snapshot]:
        """The files of each model that is there now; nothing of them is read.

        Raises InvalidConfig when the repository itself is not there or cannot be read: that says nothing of its models.
        """
        root = self._path.resolve()
        try:
            if self._layout is _Layout.REPOSITORY:
                return {name: look_at(folder, root) for name, folder in _model_folders(self._path).items()}
            self._path.stat()
        except OSError as error:
            raise InvalidConfig(f"{self._path}: cannot be read: {error.strerror}") from error
        return {self._only_name: look_at(self._path, root)}

    @property
    def _only_name(self) -> str:
        """The model's, where the path is one model."""
        return printable_name(self._path.stem if self._layout is _Layout.MODEL_FILE else self._path.name)

    def read_given(self, name: str, given: Given) -> ModelEntry | None:
        """Looks at one model as `rescan_model` does, with another configuration than the one on disk. Keeps nothing."""
        try:
            return self._read_one(name, given)
        except OSError as error:
            raise InvalidConfig(f"{self._path}: cannot be read: {error.strerror}") from error

    def _read_one(self, name: str, given: Given | None = None) -> ModelEntry | None:
        if self._layout is _Layout.REPOSITORY:
            folder = _model_folders(self._path).get(name)
            return read_model_folder(folder, folder.name, self._path.resolve(), given) if folder else None
        if name != self._only_name or not self._path.exists():
            return None
        if self._layout is _Layout.MODEL_FOLDER:
            return read_model_folder(self._path, self._path.name, given=given)
        return read_model_file(self._path, given)


def _recognise(path: Path) -> _Layout:
    """Raises InvalidConfig for what is no place for models, OSError for what cannot be read."""
    if not path.exists():
        raise InvalidConfig(f"{path}: does not exist; {_WANTED}")
    if (config := _config_left_behind(path)) is not None:
        raise InvalidConfig(f"{path}: is a part of the model that {config} describes; give {config.parent}")
    if not path.is_dir():
        if path.suffix != ".onnx" or not path.is_file():
            raise InvalidConfig(f"{path}: is not a .onnx file; {_WANTED}")
        return _Layout.MODEL_FILE
    folders = _model_folders(path)
    if _is_one_model(path):
        beside = [name for name, folder in folders.items() if not name.isdecimal() and _looks_like_a_model(folder)]
        if beside:
            found = ", ".join(beside)
            raise InvalidConfig(f"{path}: is both one model's folder and a repository of models ({found}); keep one")
        return _Layout.MODEL_FOLDER
    if not any(_looks_like_a_model(folder) for folder in folders.values()) and (names := _names(path)):
        found = ", ".join(map(printable_name, names))
        raise InvalidConfig(f"{path}: has no models; {_WANTED}; found: {found}")
    return _Layout.REPOSITORY


def _config_left_behind(path: Path) -> Path | None:
    """The configuration that serving this path alone would pass over, and with it the model's contract."""
    folder = path if path.is_dir() else path.parent
    above = [] if folder is path else [folder]
    if folder.name.isdecimal():
        above.append(folder.parent)
    files = (place / name for place in above for name in (CONFIG_FILE, TRITON_FILE))
    return next((file for file in files if file.is_file()), None)


def _is_one_model(folder: Path) -> bool:
    """Whether this is one model's folder, and not a repository.

    A version folder tells only with a model file in it: else `7/1/model.onnx` in a repository would not be version
    1 of a model called 7.
    """
    if any(os.path.lexists(folder / file) for file in (MODEL_FILE, CONFIG_FILE, TRITON_FILE)):
        return True
    return any(os.path.lexists(folder / number / MODEL_FILE) for number in version_folders(folder))


def _looks_like_a_model(folder: Path) -> bool:
    try:
        return _is_one_model(folder)
    except OSError:
        return False


def _read_all(path: Path, layout: _Layout) -> dict[str, ModelEntry]:
    match layout:
        case _Layout.MODEL_FILE:
            entries = [read_model_file(path)]
        case _Layout.MODEL_FOLDER:
            entries = [read_model_folder(path, path.name)]
        case _Layout.REPOSITORY:
            root = path.resolve()
            entries = [read_model_folder(folder, folder.name, root) for folder in _model_folders(path).values()]
            _warn_of_loose_files(path)
    return {entry.name: entry for entry in entries}


def _model_folders(path: Path) -> dict[str, Path]:
    """The model's name → its folder."""
    names = [name for name in _names(path) if name not in _NO_MODELS and _is_folder(path / name)]
    return {printable_name(name): path / name for name in names}


def _is_folder(path: Path) -> bool:
    """What cannot be looked at, such as a link that leads nowhere, counts as one: so it is reported."""
    try:
        return path.is_dir() or not path.exists()
    except OSError:
        return True


def _names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir() if not entry.name.startswith("."))


def _warn_of_loose_files(path: Path) -> None:
    for name in _names(path):
        if name.endswith(".onnx") and (path / name).is_file():
            hint = f"move it to {Path(name).stem}/1/{MODEL_FILE}, or serve it by its own path"
            _log.warning("model_file_ignored", path=str(path / printable_name(name)), hint=hint)
