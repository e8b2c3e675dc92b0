"""`model.toml`: a model's chain, its contract, its limits and its versions.

Every key that is accepted does something: unknown keys, wrong types and values out of range are errors,
never ignored. The options of a rung are kept as they came and checked against the schema of its backend
by `check_chain` in `rungs.py`.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue

from ortolan_server.errors import InvalidConfig
from ortolan_server.repository.operators import check_operator_types
from ortolan_server.repository.versions import VersionPolicy
from ortolan_server.units import parse_size_bytes
from ortolan_server.validation import did_you_mean, explain

__all__ = [
    "DEFAULT_NODE_SHARE",
    "Batching",
    "ChainRung",
    "Limits",
    "ModelToml",
    "Require",
    "load_model_toml",
    "model_toml_json_schema",
    "parse_model_toml",
]

DEFAULT_NODE_SHARE = 0.5

# Only the outer list is lax, because TOML has no tuples; what is in it stays strict.
_Lax = Field(strict=False)
_Name = Annotated[str, Field(min_length=1)]


def _as_list(value: object) -> object:
    if value in ((), []):
        raise ValueError("must name at least one provider; leave it out for that of the first rung")
    return [value] if isinstance(value, str) else value


_OneOrMore = _Name | Annotated[list[_Name], Field(min_length=1)]
_Providers = Annotated[tuple[_Name, ...], _Lax, BeforeValidator(_as_list, json_schema_input_type=_OneOrMore)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class ChainRung(BaseModel):
    """One rung: a provider and its options, flat in one table."""

    model_config = ConfigDict(frozen=True, strict=True, extra="allow")

    provider: _Name = Field(description="Short name of the execution provider, e.g. cuda.")

    @classmethod
    def of(cls, provider: str, options: Mapping[str, object] = MappingProxyType({})) -> Self:
        return cls.model_validate({**options, "provider": provider})

    @property
    def options(self) -> Mapping[str, object]:
        """As they stand in the file, not yet checked."""
        return MappingProxyType(self.model_extra or {})


class Require(_Table):
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
    forbid_on_cpu: Annotated[tuple[_Name, ...], _Lax] = Field(
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


class Batching(_Table):
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
    preferred_sizes: Annotated[tuple[Annotated[int, Field(ge=1)], ...], _Lax] = Field(
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


class Limits(_Table):
    """`[limits]`."""

    queue: int = Field(default=256, ge=1, description="Inferences that may wait; one more is answered as overload.")
    queue_size: Annotated[int, BeforeValidator(parse_size_bytes, json_schema_input_type=int | str)] = Field(
        default=256 << 20, ge=1, description="Bytes of the inputs of inferences that wait; one of any size may."
    )
    concurrency: int = Field(default=1, ge=1, le=1024, description="Runs at once on the one session.")


class ModelToml(_Table):
    """A whole model.toml.

    However it is made, `chain` is never empty, and neither is `require.provider` where there is a contract.
    """

    required: bool = Field(
        default=True, description="If true, the server counts as not serving while this model does not serve."
    )
    trust_inputs: bool = Field(
        default=False,
        description="Serve a model with which some input can end the process, such as an integer division by it?",
    )
    chain: Annotated[tuple[ChainRung, ...], _Lax] = Field(
        default=(ChainRung(provider="cpu"),),
        description="Execution providers in order of preference; each table also holds the options of its provider.",
        json_schema_extra={"minItems": 1},
    )
    require: Require | None = Field(
        default=None, description="The contract. Without it the first rung serves or nothing does."
    )
    batching: Batching | None = Field(
        default=None, description="Joins inferences that wait. Without it each runs alone."
    )
    limits: Limits = Field(default_factory=Limits, description="Bounds of each version of the model.")
    versions: VersionPolicy = Field(
        default_factory=lambda: VersionPolicy(latest=1),
        description="Which versions are served: exactly one of the keys. Default: the one with the highest number.",
    )

    def on_chain(self, chain: tuple[ChainRung, ...]) -> "ModelToml":
        """This configuration on another chain.

        Its contract stays in force, for those of its providers that the chain has; if that is none, for the
        first rung's.
        """
        require = self.require
        if require is not None:
            names = [rung.provider for rung in chain]
            kept = tuple(provider for provider in require.provider if provider in names)
            require = require.model_copy(update={"provider": kept or (names[0],)})
        return self.model_copy(update={"chain": chain, "require": require})

    @field_validator("chain", mode="before")
    @classmethod
    def _check_chain_is_a_list(cls, value: object) -> object:
        if isinstance(value, Mapping):
            raise ValueError("must be a list of tables: write [[chain]], not [chain]")  # noqa: TRY004 - pydantic's protocol
        if not value:
            raise ValueError("must have at least one rung; leave it out for the default, cpu")
        return value

    @field_validator("require")
    @classmethod
    def _require_the_first_rung(cls, value: Require | None, info: ValidationInfo) -> Require | None:
        chain: tuple[ChainRung, ...] | None = info.data.get("chain")
        if value is None or value.provider or chain is None:
            return value
        return value.model_copy(update={"provider": (chain[0].provider,)})

    @model_validator(mode="after")
    def _check_required_providers(self) -> Self:
        in_chain = list(dict.fromkeys(rung.provider for rung in self.chain))
        for provider in self.require.provider if self.require else ():
            if provider not in in_chain:
                hint = did_you_mean(provider, in_chain, then=" ")
                raise ValueError(
                    f"require.provider: '{provider}' is not in the chain; {hint}allowed: {', '.join(in_chain)}"
                )
        return self


def load_model_toml(path: Path) -> ModelToml:
    """Reads and checks a file. Raises InvalidConfig whose every line begins with the file's path."""
    try:
        if not path.is_file():  # Reading a pipe would wait for ever.
            raise InvalidConfig(f"{path}: is not a file")
        document = tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise InvalidConfig(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidConfig(
            f"{path}: is not UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}"
        ) from error
    except (ValueError, RecursionError) as error:
        # ValueError: tomllib's own error, which ends in line and column, and integers of thousands of digits.
        raise InvalidConfig(f"{path}: is not TOML: {error}") from error
    return parse_model_toml(document, str(path))


def parse_model_toml(document: Mapping[str, object], source: str) -> ModelToml:
    """Checks a document that is already parsed. Raises InvalidConfig whose every line begins with `source`."""
    try:
        return ModelToml.model_validate(dict(document))
    except ValidationError as error:
        raise InvalidConfig(explain(error, ModelToml, source)) from error


def model_toml_json_schema() -> JsonSchemaValue:
    """The JSON Schema of model.toml, for editors and for publishing.

    The options of rungs are open in it: each provider publishes its own.
    """
    schema = _without_null(ModelToml.model_json_schema())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Ortolan's model.toml"}


def _without_null(schema: JsonSchemaValue) -> JsonSchemaValue:
    """The schema without the null of optional fields: TOML has no word for it."""
    kept: JsonSchemaValue = {
        key: _without_null(value) if isinstance(value, dict) else value for key, value in schema.items()
    }
    if kept.get("default", ...) is None:
        del kept["default"]
    kinds = [kind for kind in kept.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1:
        del kept["anyOf"]
        kept.update(kinds[0])
    return kept
