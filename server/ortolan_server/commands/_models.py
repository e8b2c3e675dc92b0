"""The models that a command was pointed at."""

from pathlib import Path

import typer

from ortolan_server.commands._console import USAGE, complain
from ortolan_server.errors import InvalidConfig
from ortolan_server.repository import ModelEntry, Repository
from ortolan_server.telemetry.logs import errors_only

__all__ = ["all_models", "found_models", "only_model"]


def found_models(path: Path) -> list[ModelEntry]:
    """By name, the faulty too. A path without models ends the command, as a usage error."""
    try:
        with errors_only():  # what a server would log of them must not stand in an answer
            return list(Repository.scan(path).models.values())
    except InvalidConfig as error:
        complain(str(error))
        raise typer.Exit(USAGE) from error


def only_model(path: Path) -> ModelEntry:
    """A model's folder or a .onnx file. A repository of several is a usage error; raises InvalidConfig for a faulty
    entry.
    """
    entries = found_models(path)
    if len(entries) > 1:
        names = ", ".join(entry.name for entry in entries)
        complain(f"{path} is a repository; name one of its models: {names}")
        raise typer.Exit(USAGE)
    return _usable(entries)[0]


def all_models(path: Path) -> list[ModelEntry]:
    """Those of a repository too, by name. Raises InvalidConfig for a faulty entry."""
    return _usable(found_models(path))


def _usable(entries: list[ModelEntry]) -> list[ModelEntry]:
    if errors := [entry.error for entry in entries if entry.error]:
        raise InvalidConfig("\n".join(errors))
    return entries
