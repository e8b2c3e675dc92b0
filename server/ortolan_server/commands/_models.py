"""The models that a command was pointed at."""

from pathlib import Path

from ortolan_server.errors import InvalidConfig
from ortolan_server.repository import ModelEntry, Repository
from ortolan_server.telemetry.logs import errors_only

__all__ = ["all_models", "found_models", "only_model"]


def found_models(path: Path) -> list[ModelEntry]:
    """By name, the faulty too. Raises InvalidConfig. What a server would log of them must not stand in an answer."""
    with errors_only():
        return list(Repository.scan(path).models.values())


def only_model(path: Path) -> ModelEntry:
    """A model's folder or a .onnx file. Raises InvalidConfig for a repository of several, and for a faulty entry."""
    entries = found_models(path)
    if len(entries) > 1:
        names = ", ".join(entry.name for entry in entries)
        raise InvalidConfig(f"{path} is a repository; name one of its models: {names}")
    return _usable(entries)[0]


def all_models(path: Path) -> list[ModelEntry]:
    """Those of a repository too, by name. Raises InvalidConfig for a faulty entry."""
    return _usable(found_models(path))


def _usable(entries: list[ModelEntry]) -> list[ModelEntry]:
    if errors := [entry.error for entry in entries if entry.error]:
        raise InvalidConfig("\n".join(errors))
    return entries
