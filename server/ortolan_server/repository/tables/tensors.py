"""`[[input]]` and `[[output]]`: what a model is said to take and give."""

from typing import Annotated, Literal

from pydantic import Field

from ortolan_server.repository.tables.base import Lax, Name, Table

__all__ = ["DeclaredTensor"]

_Size = Annotated[int, Field(ge=-1)]


class DeclaredTensor(Table):
    """A model whose own signature contradicts it is refused. What is not declared is not checked."""

    name: Name = Field(description="The model's own name for it.")
    datatype: Literal[
        "BOOL",
        "INT8",
        "INT16",
        "INT32",
        "INT64",
        "UINT8",
        "UINT16",
        "UINT32",
        "UINT64",
        "FP16",
        "FP32",
        "FP64",
        "BF16",
        "BYTES",
    ] = Field(description="The protocol's name, e.g. FP32.")
    shape: Annotated[tuple[_Size, ...], Lax] = Field(
        description="The whole shape; -1 agrees with any size, and so does a dimension that may vary in the model."
    )
