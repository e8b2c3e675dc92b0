"""The one model that a command was pointed at."""

from pathlib import Path

from ortolan_server.errors import InvalidConfig
from ortolan_server.repository import ModelEntry, Repository

__all__ = ["only_model"]


def only_model(path: Path) -> ModelEntry:
    """A model's folder or a .onnx file. Raises InvalidConfig for a repository of several, and for a faulty entry."""
    entries = list(Repository.scan(path).models.values())
    if len(entries) > 1:
        names = ", ".join(entry.name for entry in entries)
        raise InvalidConfig(f"{path} is a repository; name one of its models: {names}")
    if entries[0].error:
        raise InvalidConfig(entries[0].error)
    return entries[0]
