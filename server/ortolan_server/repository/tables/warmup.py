"""`[[warmup]]`: runs that are made before a model is READY."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ortolan_server.repository.tables.base import Lax, Name, Table

__all__ = ["Warmup", "WarmupInput"]

_Size = Annotated[int, Field(ge=0)]
_Rows = Annotated[int, Field(ge=1, le=65536)]


class WarmupInput(Table):
    """One input of a sample: recorded, or made up in a shape."""

    file: Name | None = Field(
        default=None, description="A .npy file, beside model.toml or below: an input as it was recorded."
    )
    shape: Annotated[tuple[_Size, ...], Lax] | None = Field(
        default=None,
        description="The whole shape of an input that is made up; batch_sizes change its first size.",
    )
    data: Literal["zeros", "random"] | None = Field(
        default=None, description="What an input that is made up holds; without it what the sample says."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.file is None) == (self.shape is None and self.data is None):
            raise ValueError("must have either file, or shape, data or both of these")
        return self


class Warmup(Table):
    """One sample, run at each of its batch sizes."""

    name: str = Field(default="", description="What messages call it; without it its number.")
    inputs: dict[Name, WarmupInput] = Field(
        default_factory=dict, description="By name. An input that is left out is made up: 1 for what may vary."
    )
    data: Literal["zeros", "random"] = Field(default="random", description="What inputs that are made up hold.")
    batch_sizes: Annotated[tuple[_Rows, ...], Lax] = Field(
        default=(),
        description="Rows of the runs. Without it those of the inputs, and of a model with [batching] every size that "
        "batches are made up to: 1, 2, 4, … and preferred_sizes, up to max_size.",
    )
    runs: int = Field(default=1, ge=1, le=1000, description="How often each is run.")
