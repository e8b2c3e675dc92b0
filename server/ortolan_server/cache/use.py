"""What came of one look into the cache."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["CacheResult", "CacheUse"]


class CacheResult(StrEnum):
    HIT = "HIT"
    """What was kept was loaded as it is."""
    MISS = "MISS"
    """Nothing was kept that could be loaded."""
    STALE = "STALE"
    """What was kept is of another model, version, device or options; it was built anew."""


@dataclass(frozen=True, slots=True)
class CacheUse:
    result: CacheResult
    key: str = ""
    folder: str = ""
    """Where the provider's files are; empty when nothing is kept."""
    size_bytes: int = 0
    """Of these files once the session was open."""
    seconds: float = 0.0
    """The opening, with the wait for another process that built the same."""
    reason: str = ""
    """Of STALE: what has changed. Of MISS: why what was there could not be used, or why nothing is kept."""
