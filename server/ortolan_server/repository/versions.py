"""Which versions of a model are wanted: a pure decision on the policy and on what is on disk."""

import re
from collections.abc import Collection
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from ortolan_server.errors import InvalidConfig

__all__ = ["VersionPolicy", "version_number", "wanted_versions"]

MAX_VERSION = 2**63 - 1
"""The largest int64, as which other servers of the protocol read versions."""

_Version = Annotated[int, Field(ge=1, le=MAX_VERSION)]

# Triton's rule: folders with other names, or names that begin with 0, are no versions.
_FOLDER = re.compile(r"[1-9][0-9]{0,17}")


_EXACTLY_ONE: JsonDict = {"oneOf": [{"required": [key]} for key in ("latest", "all", "specific")]}


class VersionPolicy(BaseModel):
    """`[versions]` of a model.toml: exactly one of the three keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", json_schema_extra=_EXACTLY_ONE)

    latest: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Serve this many versions, the highest numbers first."
    )
    all: bool | None = Field(
        default=None, description="Serve every version. Only true is allowed.", json_schema_extra={"const": True}
    )
    specific: Annotated[tuple[_Version, ...], Field(strict=False)] | None = Field(
        default=None, description="Serve these versions; each must be on disk."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = [key for key in ("latest", "all", "specific") if getattr(self, key) is not None]
        if len(given) != 1:
            came = " and ".join(given) or "none of them"
            raise ValueError(f"must have exactly one of latest, all and specific, not {came}")
        if self.all is False:
            raise ValueError("all: must be true, or leave it out and give latest or specific")
        if self.specific is not None and (not self.specific or len(set(self.specific)) < len(self.specific)):
            raise ValueError(f"specific: must name at least one version, each once, not {list(self.specific)}")
        return self


def version_number(folder: str) -> int | None:
    """The version that a folder of that name holds; None: it is no version's."""
    return int(folder) if _FOLDER.fullmatch(folder) else None


def wanted_versions(policy: VersionPolicy, on_disk: Collection[int]) -> tuple[int, ...]:
    """Those versions on disk that shall be served, in ascending order.

    Raises InvalidConfig when the policy names a version that is not on disk: to serve the others as if nothing
    were missing would be quiet.
    """
    present = sorted(on_disk)
    if missing := sorted(set(policy.specific or ()) - set(present)):
        found = ", ".join(map(str, present)) or "none"
        raise InvalidConfig(f"versions.specific: {', '.join(map(str, missing))} not on disk; on disk: {found}")
    if policy.specific is not None:
        return tuple(sorted(policy.specific))
    if policy.latest is not None:
        return tuple(present[-policy.latest :])
    return tuple(present)
