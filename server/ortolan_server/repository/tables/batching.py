"""`[batching]`: how inferences that wait are joined."""

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from ortolan_server.repository.tables.base import Lax, Table

__all__ = ["Batching"]


class Batching(Table):
    """`[batching]`: inferences that wait are joined into one run. Without it each runs alone."""

    max_size: int = Field(
        default=32,
        ge=1,
        le=65536,
        description="Rows of one run, at most; an inference that has more by itself runs alone.",
    )
    max_delay_ms: float = Field(
        default=0.0,
        ge=0,
        le=60_000,
        allow_inf_nan=False,
        description="How long a run may wait for more inferences, from the arrival of its first; 0: not at all.",
    )
    preferred_sizes: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Lax] = Field(
        default=(),
        description="Rows at which a run starts at once, and to which a larger one is cut.",
    )

    @field_validator("preferred_sizes")
    @classmethod
    def _check_preferred_sizes(cls, value: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        most: int | None = info.data.get("max_size")
        if most is not None and any(size > most for size in value):
            raise ValueError(f"{max(value)} is more than max_size, which is {most}")
        return value
