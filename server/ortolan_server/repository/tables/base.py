"""What all tables of a model.toml have in common."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Lax", "Name", "Table"]

# Only the outer list is lax, because TOML has no tuples; what is in it stays strict.
Lax = Field(strict=False)
Name = Annotated[str, Field(min_length=1)]


class Table(BaseModel):
    """Frozen, strict, and without keys that it does not know."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
