"""`assignment.lock`: where the nodes of a model ran when its owner was content with it.

It lies beside the model file and is kept in version control: what is in it is sorted, and each node has a line.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

import onnx
from pydantic import Field, ValidationError, model_validator

from ortolan_server.digests import file_sha256
from ortolan_server.errors import InvalidConfig
from ortolan_server.repository.external_data import external_files
from ortolan_server.repository.names import MODEL_FILE
from ortolan_server.repository.tables.base import Lax, Name, Table
from ortolan_server.repository.toml_file import read_toml
from ortolan_server.repository.toml_values import toml_pairs, toml_value
from ortolan_server.validation import explain

__all__ = ["AssignmentLock", "LockedProvider", "hash_files", "lock_path", "lock_text", "read_lock"]

LOCK_FILE = "assignment.lock"

_MAX_BYTES = 64 << 20  # some hundred bytes for each node

_HEADER = """\
# Where the nodes of this model run. `ortolan lock` writes this file; `ortolan plan --locked` and every load hold
# the assignment against it. Keep it in version control, and do not edit it.
"""

_ON_TOP = {"name", "rung", "node_share", "fragments", "devices"}
_Names = Annotated[tuple[Name, ...], Lax]
_Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class LockedProvider(Table):
    """`[[provider]]`: one that has nodes."""

    name: Name = Field(description="Short name, e.g. cuda.")
    rung: int = Field(ge=0, description="The rung of the chain that brought it; 0: none did.")
    node_share: float = Field(ge=0, le=1, description="Its share of the nodes, shape operators not counted.")
    fragments: int = Field(ge=0, description="Connected runs of its nodes.")
    devices: _Names = Field(default=(), description="Those it could use: kind and name.")
    options: dict[Name, str] = Field(default_factory=dict, description="As the session gave them back, paths left out.")
    nodes: dict[Name, Name] = Field(default_factory=dict, description="Operator types by name of the node.")
    shape_nodes: dict[Name, Name] = Field(default_factory=dict, description="Likewise, of shape operators.")


class AssignmentLock(Table):
    """The whole file."""

    format: Literal[1] = Field(description="Of the file.")
    serving: Name = Field(description="Provider of the rung that served.")
    rung: int = Field(ge=1, description="Its number, from the top.")
    chain: Annotated[_Names, Field(min_length=1)] = Field(description="Providers from the top down.")
    files: dict[Name, _Hash] = Field(description="SHA-256 of the model file and of each file of its weights.")
    versions: dict[Name, str] = Field(default_factory=dict, description="Of what takes part in the decision.")
    provider: Annotated[tuple[LockedProvider, ...], Lax] = Field(default=(), description="Those that have nodes.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.chain[self.rung - 1 : self.rung] != (self.serving,):
            raise ValueError(f"serving: must be the provider at rung {self.rung} of the chain, not {self.serving!r}")
        seen: set[str] = set()
        for number, provider in enumerate(self.provider, start=1):
            if provider.rung and self.chain[provider.rung - 1 : provider.rung] != (provider.name,):
                where = f"must be that of {provider.name!r} in the chain, or 0, not {provider.rung}"
                raise ValueError(f"provider[{number}].rung: {where}")
            for name in (*provider.nodes, *provider.shape_nodes):
                if name in seen:
                    raise ValueError(f"provider: node {name!r} must be named once, and is named twice")
                seen.add(name)
        return self


def lock_path(model: Path, file: str) -> Path:
    """The lock of a model file: `assignment.lock` beside it.

    `file` is the name that its model.toml gives it. A NAME.onnx by itself has none, and may lie beside others:
    `NAME.assignment.lock`.
    """
    return model.with_name(LOCK_FILE if model.name in (file, MODEL_FILE) else f"{model.stem}.{LOCK_FILE}")


def read_lock(path: Path) -> AssignmentLock:
    """Reads and checks a file. Raises InvalidConfig whose every line begins with the file's path."""
    try:
        document = read_toml(path, max_bytes=_MAX_BYTES, without="without the file nothing is compared")
        return AssignmentLock.model_validate(document)
    except ValidationError as error:
        raise InvalidConfig(explain(error, AssignmentLock, str(path))) from error


def lock_text(lock: AssignmentLock) -> str:
    """The file's text: the same for the same lock, with what changes by itself on lines of its own."""
    lines = [
        _HEADER,
        *toml_pairs({"format": lock.format, "serving": lock.serving, "rung": lock.rung, "chain": lock.chain}),
        *_table("files", lock.files),
        *_table("versions", lock.versions),
    ]
    for provider in lock.provider:
        lines += [
            "",
            "[[provider]]",
            *toml_pairs(provider.model_dump(include=_ON_TOP)),
            *_table("provider.options", provider.options),
            *_table("provider.nodes", provider.nodes),
            *_table("provider.shape_nodes", provider.shape_nodes),
        ]
    return "\n".join(lines) + "\n"


def hash_files(path: Path, model: onnx.ModelProto) -> dict[str, str]:
    """SHA-256 of a model file and of the files of its external data, by their names in its folder. Raises OSError."""
    return {name: file_sha256(path.parent / name) for name in (path.name, *sorted(external_files(model)))}


def _table(name: str, entries: Mapping[str, str]) -> list[str]:
    """Nothing of an empty one."""
    if not entries:
        return []
    return ["", f"[{name}]", *(f"{toml_value(key)} = {toml_value(entries[key])}" for key in sorted(entries))]
