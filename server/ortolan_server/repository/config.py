"""`model.toml`: a model's chain, its contract, its limits and its versions.

Every key that is accepted does something: unknown keys, wrong types and values out of range are errors,
never ignored. The options of a rung are kept as they came and checked against the schema of its backend
by `check_chain` in `rungs.py`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue

from ortolan_server.errors import InvalidConfig
from ortolan_server.repository.names import file_fault
from ortolan_server.repository.tables import (
    Batching,
    ChainRung,
    DeclaredTensor,
    Failover,
    Limits,
    Lock,
    Numeric,
    Require,
    Warmup,
)
from ortolan_server.repository.tables.base import Lax, Table
from ortolan_server.repository.toml_file import read_toml
from ortolan_server.repository.versions import VersionPolicy
from ortolan_server.validation import did_you_mean, explain

__all__ = ["ModelToml", "load_model_toml", "model_toml_json_schema", "parse_model_toml"]

_MAX_BYTES = 1 << 20


class ModelToml(Table):
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
    file: str = Field(
        default="model.onnx",
        description="Name of the model's file, in the folder of each version.",
    )
    chain: Annotated[tuple[ChainRung, ...], Lax] = Field(
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
    input: Annotated[tuple[DeclaredTensor, ...], Lax] = Field(
        default=(), description="Inputs that the model must have; it is refused if it contradicts."
    )
    output: Annotated[tuple[DeclaredTensor, ...], Lax] = Field(default=(), description="The same of outputs.")
    warmup: Annotated[tuple[Warmup, ...], Lax] = Field(
        default=(),
        description="Runs that are made before the model is READY, and that its rungs are compared on.",
    )
    numeric: Numeric = Field(
        default_factory=Numeric, description="How far the answers of a rung may be from those of the CPU."
    )
    lock: Lock = Field(default_factory=Lock, description="What holds when the model has an assignment.lock.")
    failover: Failover = Field(default_factory=Failover, description="What is done when a device fails.")
    versions: VersionPolicy = Field(
        default_factory=lambda: VersionPolicy(latest=1),
        description="Which versions are served: exactly one of the keys. Default: the one with the highest number.",
    )

    def on_chain(self, chain: tuple[ChainRung, ...]) -> "ModelToml":
        """This configuration on another chain.

        Its contract stays in force, for those of its providers that the chain has; if that is none, for the
        first rung's. Its assignment.lock is of the chain it has: nodes that have moved down are only told.
        """
        require = self.require
        if require is not None:
            names = [rung.provider for rung in chain]
            kept = tuple(provider for provider in require.provider if provider in names)
            require = require.model_copy(update={"provider": kept or (names[0],)})
        return self.model_copy(update={"chain": chain, "require": require, "lock": Lock(drift="warn")})

    @field_validator("file")
    @classmethod
    def _check_file(cls, value: str) -> str:
        if fault := file_fault(value):
            raise ValueError(fault)
        return value

    @field_validator("chain", mode="before")
    @classmethod
    def _check_chain_has_a_rung(cls, value: object) -> object:
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
    without = "without the file the model is served by the defaults"
    return parse_model_toml(read_toml(path, max_bytes=_MAX_BYTES, without=without), str(path))


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
