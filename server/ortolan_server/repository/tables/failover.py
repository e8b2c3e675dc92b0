"""`[failover]`: what is done when a device fails."""

from typing import Self

from pydantic import Field, model_validator

from ortolan_server.repository.tables.base import Table

__all__ = ["Failover"]

_DAY_S = 86_400


class Failover(Table):
    """To which rungs a version may go is its contract's matter."""

    standby: bool = Field(
        default=False, description="Keep the next rung that the contract allows open aside? It costs its memory."
    )
    hang_after_s: float = Field(
        default=120.0,
        gt=0,
        le=_DAY_S,
        description="A run that takes longer is taken for hung, in seconds; on the CPU it is only reported, as is an "
        "opening that takes longer.",
    )
    probe_after_s: float = Field(
        default=5.0,
        gt=0,
        le=_DAY_S,
        description="How long after a failure the rungs above are tried again, in seconds; doubled after each try "
        "that fails.",
    )
    probe_most_s: float = Field(
        default=300.0, gt=0, le=_DAY_S, description="The longest time between two tries, in seconds."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.probe_most_s < self.probe_after_s:
            raise ValueError(f"probe_most_s: must be at least probe_after_s, which is {self.probe_after_s:g}")
        return self
