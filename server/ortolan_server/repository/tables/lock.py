"""`[lock]`: what holds when a model has an assignment.lock."""

from typing import Literal

from pydantic import Field

from ortolan_server.repository.tables.base import Table

__all__ = ["Lock"]


class Lock(Table):
    """Nodes that run on a lower provider than `ortolan lock` has written down have moved down: that is drift."""

    drift: Literal["refuse", "degrade", "warn"] = Field(
        default="refuse",
        description="What happens when nodes have moved down: refuse to serve, serve and say DEGRADED, or only warn.",
    )
