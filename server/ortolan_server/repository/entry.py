"""One model as it lies on disk."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import structlog

from ortolan_server.errors import InvalidConfig
from ortolan_server.repository.config import ModelToml, load_model_toml
from ortolan_server.repository.names import name_fault, printable_name
from ortolan_server.repository.versions import version_number
from ortolan_server.repository.watching import Snapshot, look_at

__all__ = ["CONFIG_FILE", "MODEL_FILE", "TRITON_FILE", "ModelEntry", "read_model_file", "read_model_folder"]

MODEL_FILE = "model.onnx"
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
    """The defaults when there is no model.toml, or when it is broken."""
    config_path: Path | None
    versions: Mapping[int, Path]
    """Version → model file, in ascending order. A version folder without a model file is among them, with the
    path at which the file is missing: a newest version that is incomplete must fail, not quietly give way to an
    older one."""
    error: str | None = None
    """Why this model cannot be served at all."""
    files: Snapshot = field(default_factory=dict)
    """Its files as they were just before anything of it was read."""


def read_model_folder(folder: Path, name: str, root: Path | None = None) -> ModelEntry:
    """Reads `<folder>/model.onnx` or `<folder>/<version>/model.onnx`, and `<folder>/model.toml`.

    `root` is the resolved path that is served, by default the folder itself: links are followed inside it. Never
    raises for what it finds: that is the entry's `error`.
    """
    files = look_at(folder, root or folder.resolve())
    errors: list[str] = []
    config, config_path, versions = ModelToml(), None, dict[int, Path]()
    if fault := name_fault(name):
        errors.append(f"{folder.parent / printable_name(name)}: {fault}")
    try:
        versions = _find_versions(folder)
    except InvalidConfig as error:
        errors.append(str(error))
    except OSError as error:
        errors.append(f"{folder}: cannot be read: {error.strerror}")
    if os.path.lexists(folder / CONFIG_FILE):
        config_path = folder / CONFIG_FILE
        try:
            config = load_model_toml(config_path)
        except InvalidConfig as error:
            errors.append(str(error))
    if os.path.lexists(folder / TRITON_FILE):
        _log.warning(
            "triton_config_ignored",
            model=printable_name(name),
            path=str(folder / TRITON_FILE),
            hint=f"its options are not read; write what you need of them into {CONFIG_FILE}",
        )
    return ModelEntry(
        name=printable_name(name),
        folder=folder,
        config=config,
        config_path=config_path,
        versions=MappingProxyType(versions),
        error="\n".join(errors) or None,
        files=files,
    )


def read_model_file(path: Path) -> ModelEntry:
    """One `.onnx` file as version 1 of a model that is called as the file without its suffix."""
    fault = name_fault(path.stem)
    return ModelEntry(
        name=printable_name(path.stem),
        folder=path.parent,
        config=ModelToml(),
        config_path=None,
        versions=MappingProxyType({1: path}),
        error=f"{path.parent / printable_name(path.name)}: {fault}" if fault else None,
        files=look_at(path, path.parent),
    )


def version_folders(folder: Path) -> list[str]:
    """Names of the subfolders that are versions, lowest first. Raises OSError."""
    names = [path.name for path in folder.iterdir() if version_number(path.name) and path.is_dir()]
    return sorted(names, key=int)


def _find_versions(folder: Path) -> dict[int, Path]:
    numbers = version_folders(folder)
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    for name in names:
        if _LIKE_A_VERSION.fullmatch(name) and name not in numbers and (folder / name).is_dir():
            hint = "a version is a positive number without leading zeros"
            _log.warning("version_folder_ignored", path=str(folder / name), hint=hint)
    if os.path.lexists(folder / MODEL_FILE):
        if numbers:
            found = ", ".join(numbers)
            raise InvalidConfig(f"{folder}: has both {MODEL_FILE} and version folders ({found}); keep one of the two")
        return {1: _model_path(folder)}
    versions = {int(number): _model_path(folder / number) for number in numbers}
    if not any(path.is_file() for path in versions.values()):
        found = ", ".join(map(printable_name, names)) or "nothing"
        raise InvalidConfig(f"{folder}: has neither {MODEL_FILE} nor <version>/{MODEL_FILE}; found: {found}")
    return versions


def _model_path(folder: Path) -> Path:
    """`model.onnx` in a folder; as in Triton it can itself be a folder that holds the file and its data."""
    path = folder / MODEL_FILE
    return path / MODEL_FILE if path.is_dir() else path
