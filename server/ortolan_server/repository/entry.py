"""One model as it lies on disk."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import structlog

from ortolan_server.errors import InvalidConfig
from ortolan_server.repository.assignment_lock import lock_path
from ortolan_server.repository.config import ModelToml, load_model_toml
from ortolan_server.repository.given import GIVEN, Given
from ortolan_server.repository.links import link_fault
from ortolan_server.repository.names import MODEL_FILE, name_fault, printable_name
from ortolan_server.repository.triton import Note, Outcome, load_config, translate
from ortolan_server.repository.versions import version_number, wanted_versions
from ortolan_server.repository.watching import Snapshot, look_at

__all__ = ["CONFIG_FILE", "MODEL_FILE", "TRITON_FILE", "ModelEntry", "read_model_file", "read_model_folder"]

CONFIG_FILE = "model.toml"
TRITON_FILE = "config.pbtxt"

_LIKE_A_VERSION = re.compile(r"[vV]?[0-9]+")

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model, as one look at the disk found it."""

    name: str
    folder: Path
    config: ModelToml
    """The defaults when there is no file, or when it is broken."""
    config_path: Path | None
    """The model.toml, or the config.pbtxt that stands for it; None also when the configuration was given."""
    versions: Mapping[int, Path]
    """Version → model file, in ascending order. A version folder without a model file is among them, with the
    path at which the file is missing: a newest version that is incomplete must fail, not quietly give way to an
    older one."""
    error: str | None = None
    """Why this model cannot be served at all."""
    refused: Mapping[int, str] = field(default_factory=dict)
    """Version → why a server does not read it. What is on disk is the user's own for a command that he runs himself."""
    files: Snapshot = field(default_factory=dict)
    """Its files as they were just before anything of it was read."""
    notes: tuple[Note, ...] = ()
    """What became of the settings of a config.pbtxt."""
    is_given: bool = False
    """Did the configuration come with a load, and not from the disk?"""

    @property
    def where(self) -> str:
        """What messages call the place of its configuration."""
        return GIVEN if self.is_given else str(self.config_path or self.folder)

    @property
    def wanted(self) -> tuple[int, ...]:
        """The versions that shall be served, in ascending order. Raises InvalidConfig, which names the file."""
        try:
            return wanted_versions(self.config.versions, self.versions)
        except InvalidConfig as error:
            raise InvalidConfig(f"{self.where}: {error}") from error

    @property
    def not_honoured(self) -> tuple[Note, ...]:
        return tuple(note for note in self.notes if note.outcome is Outcome.NOT_HONOURED)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What its owner should know, though it serves."""
        return tuple(f"not honoured of {TRITON_FILE}: {note}" for note in self.not_honoured)


def read_model_folder(folder: Path, name: str, root: Path | None = None, given: Given | None = None) -> ModelEntry:
    """Reads the folder's `model.toml`, or else its `config.pbtxt`, and finds the model files of its versions.

    With `given` neither is read. `root` is the resolved path that is served, by default the folder itself: links are
    followed inside it. Never raises for what it finds: that is the entry's `error`.
    """
    root = root or folder.resolve()
    files = look_at(folder, root)
    errors: list[str] = []
    config, config_path, notes, versions = ModelToml(), None, tuple[Note, ...](), dict[int, Path]()
    if fault := name_fault(name):
        errors.append(f"{folder.parent / printable_name(name)}: {fault}")
    if fault := link_fault(folder, root):
        return ModelEntry(printable_name(name), folder, config, None, versions, error=fault)
    try:
        if given is None:
            config, config_path, notes = _read_config(folder, name, root)
        else:
            config, notes = given.config, given.notes
    except InvalidConfig as error:
        errors.append(str(error))
        config_path = _config_path(folder)
    try:
        versions = _find_versions(folder, config.file)
    except InvalidConfig as error:
        errors.append(str(error))
    except OSError as error:
        errors.append(f"{folder}: cannot be read: {error.strerror}")
    return ModelEntry(
        name=printable_name(name),
        folder=folder,
        config=config,
        config_path=config_path,
        versions=MappingProxyType(versions),
        error="\n".join(errors) or None,
        refused={
            number: fault
            for number, path in versions.items()
            if (fault := link_fault(path, root) or link_fault(lock_path(path, config.file), root))
        },
        files=files,
        notes=notes,
        is_given=given is not None,
    )


def read_model_file(path: Path, given: Given | None = None) -> ModelEntry:
    """One `.onnx` file as version 1 of a model that is called as the file without its suffix."""
    fault = name_fault(path.stem)
    return ModelEntry(
        name=printable_name(path.stem),
        folder=path.parent,
        config=given.config if given else ModelToml(),
        config_path=None,
        versions=MappingProxyType({1: path}),
        error=f"{path.parent / printable_name(path.name)}: {fault}" if fault else None,
        files=look_at(path, path.parent),
        notes=given.notes if given else (),
        is_given=given is not None,
    )


def version_folders(folder: Path) -> list[str]:
    """Names of the subfolders that are versions, lowest first. Raises OSError."""
    names = [path.name for path in folder.iterdir() if version_number(path.name) and path.is_dir()]
    return sorted(names, key=int)


def _config_path(folder: Path) -> Path | None:
    """`model.toml` before Triton's file; None without both."""
    return next((folder / name for name in (CONFIG_FILE, TRITON_FILE) if os.path.lexists(folder / name)), None)


def _read_config(folder: Path, name: str, root: Path) -> tuple[ModelToml, Path | None, tuple[Note, ...]]:
    """The configuration, where it comes from, and what became of Triton's settings. Raises InvalidConfig."""
    path = _config_path(folder)
    if path is None:
        return ModelToml(), None, ()
    if fault := link_fault(path, root):
        raise InvalidConfig(fault)
    if path.name == TRITON_FILE:
        translation = translate(load_config(path), name)
        return translation.config, path, translation.notes
    if os.path.lexists(folder / TRITON_FILE):
        _log.info("triton_config_not_read", model=printable_name(name), instead=str(path))
    return load_model_toml(path), path, ()


def _find_versions(folder: Path, file: str) -> dict[int, Path]:
    """`file` is the name of the model's file in each of them."""
    numbers = version_folders(folder)
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    for name in names:
        if _LIKE_A_VERSION.fullmatch(name) and name not in numbers and (folder / name).is_dir():
            hint = "a version is a positive number without leading zeros"
            _log.warning("version_folder_ignored", path=str(folder / name), hint=hint)
    if os.path.lexists(folder / file):
        if numbers:
            found = ", ".join(numbers)
            raise InvalidConfig(f"{folder}: has both {file} and version folders ({found}); keep one of the two")
        return {1: _model_path(folder, file)}
    versions = {int(number): _model_path(folder / number, file) for number in numbers}
    if not any(os.path.lexists(path) for path in versions.values()):
        found = ", ".join(map(printable_name, names)) or "nothing"
        raise InvalidConfig(f"{folder}: has neither {file} nor <version>/{file}; found: {found}")
    return versions


def _model_path(folder: Path, file: str) -> Path:
    """The model's file in a folder; as in Triton it can itself be a folder that holds model.onnx and its data."""
    path = folder / file
    return path / MODEL_FILE if path.is_dir() else path
