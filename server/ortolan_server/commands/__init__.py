"""The `ortolan` command line: one module for each command."""

from ortolan_server.commands.main import app

__all__ = ["app"]
