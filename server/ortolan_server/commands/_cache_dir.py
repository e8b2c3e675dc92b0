"""Where the commands keep what providers compile."""

import os
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["OFF", "CacheDir", "cache_folder"]

OFF = "off"

CacheDir = Annotated[
    str,
    typer.Option(
        "--cache-dir",
        envvar="ORTOLAN_CACHE_DIR",
        metavar="PATH",
        show_default="$XDG_CACHE_HOME/ortolan or ~/.cache/ortolan",
        help=f"Folder for what providers compile, so that the next load finds it; {OFF}: nothing is kept.",
    ),
]


def cache_folder(text: str) -> Path | None:
    """Absolute; None: none. Empty: the user's own."""
    if text == OFF:
        return None
    if text:
        return Path(text).absolute()
    home = os.environ.get("XDG_CACHE_HOME", "")
    # A relative one is to be ignored, says its specification.
    base = Path(home) if Path(home).is_absolute() else Path(os.path.expanduser("~")) / ".cache"  # noqa: PTH111 - never raises
    return base / "ortolan"
