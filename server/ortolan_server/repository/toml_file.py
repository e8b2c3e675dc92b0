"""Reads a TOML file whose faults its owner must be able to find."""

import tomllib
from pathlib import Path

from ortolan_server.errors import InvalidConfig
from ortolan_server.repository.text_file import read_text

__all__ = ["read_toml"]


def read_toml(path: Path, *, max_bytes: int, without: str) -> dict[str, object]:
    """What is in the file. Raises InvalidConfig that begins with its path, as `read_text` does."""
    try:
        return tomllib.loads(read_text(path, max_bytes=max_bytes, without=without))
    except (ValueError, RecursionError) as error:
        # ValueError: tomllib's own error, which ends in line and column, and integers of thousands of digits.
        raise InvalidConfig(f"{path}: is not TOML: {error}") from error
