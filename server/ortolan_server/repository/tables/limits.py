"""`[limits]`: the bounds of each version of a model."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from ortolan_server.repository.tables.base import Table
from ortolan_server.units import parse_size_bytes

__all__ = ["Limits"]


class Limits(Table):
    """`[limits]`."""

    queue: int = Field(default=256, ge=1, description="Inferences that may wait; one more is answered as overload.")
    queue_size: Annotated[int, BeforeValidator(parse_size_bytes, json_schema_input_type=int | str)] = Field(
        default=256 << 20, ge=1, description="Bytes of the inputs of inferences that wait; one of any size may."
    )
    concurrency: int = Field(default=1, ge=1, le=1024, description="Runs at once on the one session.")
