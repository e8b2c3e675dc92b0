"""The bearer token of the commands that talk to a server."""

import os
from pathlib import Path
from typing import Annotated

import typer

from ortolan_server.commands._console import USAGE, complain

__all__ = ["TokenFile", "token_of"]

_VARIABLE = "ORTOLAN_TOKEN"

TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        envvar="ORTOLAN_TOKEN_FILE",
        metavar="FILE",
        help=f"Send the first token in this file, for a server that wants one; without it what {_VARIABLE} holds.",
    ),
]


def token_of(file: Path | None) -> str:
    """Empty: none is sent. A file that has none is a usage error."""
    if file is None:
        return os.environ.get(_VARIABLE, "")
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig", errors="replace").splitlines()]
    except OSError as error:
        complain(f"--token-file {file}: cannot be read: {error.strerror}")
        raise typer.Exit(USAGE) from error
    for line in lines:
        if line and not line.startswith("#"):
            return line
    complain(f"--token-file {file}: has no token")
    raise typer.Exit(USAGE)
