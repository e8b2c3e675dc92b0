"""The machine that figures are from."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

from ortolan_backends.runtime.wheel import require_one_wheel
from ortolan_server.bench.report import Host

__all__ = ["look_at_host"]


def look_at_host() -> Host:
    wheel, wheel_version = require_one_wheel()
    return Host(
        name=platform.node(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        cpu=_processor_name(),
        cores=_cores(),
        memory_bytes=_memory_bytes(),
        ortolan_version=version("ortolan"),
        runtime=f"{wheel} {wheel_version}",
    )


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not on every system
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on every system
        return None
