"""Whether a folder has room: a provider that finds none may refuse to open, and seldom says why."""

import shutil
from pathlib import Path

from ortolan_server.units import size_text

__all__ = ["why_no_room"]

_TRIED_BYTES = 1 << 16


def why_no_room(folder: Path, wanted_bytes: int) -> str:
    """Why `folder` cannot take so much more, as near as can be told; empty: it can."""
    try:
        free_bytes = shutil.disk_usage(folder).free
        trial = folder / ".room"
        try:
            trial.write_bytes(bytes(_TRIED_BYTES))  # quotas and limits of a process show in no figure
        finally:
            trial.unlink(missing_ok=True)
    except OSError as error:
        return f"{folder} takes no more: {error.strerror}"
    return f"{folder} has only {size_text(free_bytes)} free" if free_bytes < wanted_bytes else ""
