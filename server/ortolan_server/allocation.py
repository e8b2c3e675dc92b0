"""What of the machine this process may use, and how its models share it."""

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Self

__all__ = ["Allocation", "share_threads"]

_PROC = Path("/proc/self/cgroup")
_CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Allocation:
    """Injected: from the machine itself when the server stands alone, from whoever hosts it when not."""

    cores: int
    """That it may keep busy; at least 1."""
    memory_bytes: int = 0
    """That it may take; 0: not known."""

    @classmethod
    def of_this_machine(cls) -> Self:
        """The processors this process may run on and the memory there is, less where a cgroup allows less."""
        return cls(usable_cores(_processors(), _PROC, _CGROUPS), usable_memory_bytes(_memory(), _PROC, _CGROUPS))


def usable_cores(processors: int, memberships: Path, mount: Path) -> int:
    """`processors`, or what the quotas of the cgroups allow, rounded up; what cannot be read is no bound.

    `memberships` is /proc/self/cgroup, `mount` where version 2 is mounted, and the controllers of version 1 below.
    """
    quotas = [quota for folder in _folders(memberships, mount, "cpu") if (quota := _quota(folder)) is not None]
    return max(1, min([processors, *map(math.ceil, quotas)]))


def usable_memory_bytes(there_bytes: int, memberships: Path, mount: Path) -> int:
    """`there_bytes`, or what the limits of the cgroups allow; arguments as of `usable_cores`. 0: not known."""
    limits = [limit for folder in _folders(memberships, mount, "memory") if (limit := _memory_limit(folder))]
    return min([there_bytes, *limits] if there_bytes else limits, default=0)


def share_threads(cores: int, explicit: Mapping[str, int], models: int) -> int:
    """Threads for each of `models` models that say nothing: an equal share of what those that do leave; at least 1."""
    others = models - len(explicit)
    return max(1, (cores - sum(explicit.values())) // max(1, others))


def _processors() -> int:
    # Not on every system.
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # not on every system
        return 0


def _folders(memberships: Path, mount: Path, controller: str) -> Iterator[Path]:
    """The cgroups that bound what this process has of that: its own and those above, of both versions."""
    try:
        lines = memberships.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        hierarchy, controllers, path = (*line.split(":", 2), "", "")[:3]
        if hierarchy == "0":
            roots = [mount]
        elif controller in controllers.split(","):
            roots = [mount / controller, mount / controllers]
        else:
            continue
        # In a container the path may be the host's, of which only the mount's own folder is to be seen.
        place = PurePosixPath(path.lstrip("/"))
        for root in roots:
            yield from (root / folder for folder in (place, *place.parents))


def _memory_limit(folder: Path) -> int | None:
    """In bytes; None: there is none."""
    try:
        name = "memory.max" if (folder / "memory.max").is_file() else "memory.limit_in_bytes"
        return int((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # "max" is no number
        return None


def _quota(folder: Path) -> float | None:
    """In processors; None: there is none."""
    try:
        if (version_2 := folder / "cpu.max").is_file():
            quota, period = version_2.read_text(encoding="utf-8").split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text(encoding="utf-8")
            period = (folder / "cpu.cfs_period_us").read_text(encoding="utf-8")
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):  # "max" is no number
        return None
