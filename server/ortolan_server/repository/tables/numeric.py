"""`[numeric]`: how far the answers of a rung may be from those of the CPU."""

from pydantic import Field

from ortolan_server.repository.tables.base import Table

__all__ = ["Numeric"]


class Numeric(Table):
    """Each rung but `cpu` is compared on the warm-up data when it is opened; one that is too far off is refused."""

    check: bool = Field(default=True, description="Compare at all?")
    atol: float = Field(
        default=1e-3,
        ge=0,
        allow_inf_nan=False,
        description="Allowed difference of each value, as a part of the largest of its output in all samples.",
    )
    rtol: float = Field(
        default=1e-2,
        ge=0,
        allow_inf_nan=False,
        description="Allowed difference of each value beside that, as a part of the value.",
    )
    min_cosine: float = Field(default=-1.0, ge=-1, le=1, description="Least cosine similarity of each output; -1: any.")
    min_equal: float = Field(
        default=0.99, ge=0, le=1, description="Least share of whole numbers and of texts that are the same."
    )
    min_top1: float = Field(
        default=0.0, ge=0, le=1, description="Least share of rows whose largest value is at the same place; 0: any."
    )
