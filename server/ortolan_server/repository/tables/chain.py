"""`[[chain]]` and `[require]`: where a model shall run, and what must hold there."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from ortolan_server.repository.operators import check_operator_types
from ortolan_server.repository.tables.base import Lax, Name, Table

__all__ = ["DEFAULT_NODE_SHARE", "ChainRung", "Require"]

DEFAULT_NODE_SHARE = 0.5


def _as_list(value: object) -> object:
    if value in ((), []):
        raise ValueError("must name at least one provider; leave it out for that of the first rung")
    return [value] if isinstance(value, str) else value


_OneOrMore = Name | Annotated[list[Name], Field(min_length=1)]
_Providers = Annotated[tuple[Name, ...], Lax, BeforeValidator(_as_list, json_schema_input_type=_OneOrMore)]


class ChainRung(BaseModel):
    """One rung: a provider and its options, flat in one table."""

    model_config = ConfigDict(frozen=True, strict=True, extra="allow")

    provider: Name = Field(description="Short name of the execution provider, e.g. cuda.")

    @classmethod
    def of(cls, provider: str, options: Mapping[str, object] = MappingProxyType({})) -> Self:
        return cls.model_validate({**options, "provider": provider})

    @property
    def options(self) -> Mapping[str, object]:
        """As they stand in the file, not yet checked."""
        return MappingProxyType(self.model_extra or {})


class Require(Table):
    """`[require]`, the contract. A key that is left out keeps the strict value it has without `[require]`."""

    provider: _Providers = Field(
        default_factory=tuple,  # filled by ModelToml; as a plain default it would stand in the JSON Schema
        description="Providers of the chain that may serve; serving at another rung breaks the contract. Default: "
        "the provider of the first rung.",
    )
    node_share: float = Field(
        default=DEFAULT_NODE_SHARE,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="At least this share of the nodes must be on these providers, shape operators not counted.",
    )
    forbid_on_cpu: Annotated[tuple[Name, ...], Lax] = Field(
        default=(), description="Operator types of which no node may run on the CPU, e.g. Conv."
    )
    otherwise: Literal["fail", "degrade"] = Field(
        default="fail",
        description="What happens when no rung keeps the contract: refuse to serve, or serve and say DEGRADED.",
    )

    @field_validator("forbid_on_cpu")
    @classmethod
    def _check_operators(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        check_operator_types(value)
        return value
