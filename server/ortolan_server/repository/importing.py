"""Writes the model.toml that is equal to a Triton configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ortolan_backends.catalog import Catalog
from ortolan_server.errors import InvalidConfig
from ortolan_server.repository.config import ModelToml
from ortolan_server.repository.entry import CONFIG_FILE, TRITON_FILE
from ortolan_server.repository.rungs import check_chain
from ortolan_server.repository.toml_writing import model_toml_text
from ortolan_server.repository.triton import Note, Outcome, load_config, translate
from ortolan_server.repository.triton.recorded import read_recorded, recorded_inputs

__all__ = ["ImportedModel", "import_model", "triton_folders"]


@dataclass(frozen=True, slots=True)
class ImportedModel:
    """What came of one model."""

    name: str
    file: Path
    """The model.toml."""
    config: ModelToml | None
    """None: refused."""
    notes: tuple[Note, ...] = ()
    refusal: str = ""
    """Why, a line for each reason."""


def triton_folders(path: Path) -> list[Path]:
    """The folders with a `config.pbtxt`: the path itself, or those in it. Raises InvalidConfig when there is none."""
    try:
        folders = [path] if (path / TRITON_FILE).exists() else _below(path)
    except OSError as error:
        raise InvalidConfig(f"{error.filename or path}: cannot be read: {error.strerror}") from error
    if not folders:
        raise InvalidConfig(f"{path}: has no {TRITON_FILE}, nor has a folder in it")
    return folders


def _below(path: Path) -> list[Path]:
    return sorted(
        folder for folder in path.iterdir() if not folder.name.startswith(".") and (folder / TRITON_FILE).exists()
    )


def import_model(folder: Path, target: Path, catalog: Catalog, *, write: bool, over: bool) -> ImportedModel:
    """Translates `<folder>/config.pbtxt` into `<target>/model.toml`, and recorded warm-up inputs into `.npy` files.

    Files that are there already are kept, and are a reason to refuse, unless `over`. Never raises for a model.
    """
    name, file = folder.absolute().name, target / CONFIG_FILE
    try:
        triton = load_config(folder / TRITON_FILE)
        recorded = recorded_inputs(triton.config)
        translation = translate(triton, name, {one.key: path for path, one in recorded.items()})
        arrays = {path: read_recorded(folder, one, triton.source) for path, one in recorded.items()}
        check_chain(translation.config, catalog, triton.source)
        if not over:
            _refuse_to_write_over([file, *(target / path for path in arrays)])
        if write:
            _write(file, _text(translation.config, translation.notes), arrays)
    except InvalidConfig as error:
        return ImportedModel(name, file, None, refusal=str(error))
    except OSError as error:
        return ImportedModel(name, file, None, refusal=f"{file}: cannot be written: {error.strerror}")
    return ImportedModel(name, file, translation.config, translation.notes)


def _refuse_to_write_over(files: list[Path]) -> None:
    for file in files:
        if file.exists():
            raise InvalidConfig(f"{file}: is there already; --force writes over it")


def _text(config: ModelToml, notes: tuple[Note, ...]) -> str:
    lost = [f"not honoured: {note}" for note in notes if note.outcome is Outcome.NOT_HONOURED]
    return model_toml_text(config, [f"From {TRITON_FILE}, by ortolan import triton.", *lost])


def _write(file: Path, text: str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """The model.toml last: it names the others."""
    for path, array in arrays.items():
        (file.parent / path).parent.mkdir(parents=True, exist_ok=True)
        np.save(file.parent / path, array)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
