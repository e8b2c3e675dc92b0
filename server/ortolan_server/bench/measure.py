"""Figures of the process that asks: the time of its runs, its processor time, its memory."""

import platform
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["LEAST_RUNS", "Memory", "Timing", "look_at_memory", "time_runs"]

LEAST_RUNS = 5
"""Of a turn, however long they take."""
_MOST_RUNS = 200_000  # of a turn: their times are kept, and sent
_KIB_LINE = re.compile(r"^(VmHWM|VmRSS):\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Timing:
    """One turn."""

    durations_ns: tuple[int, ...]
    elapsed_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Memory:
    """Of this process; None where the system does not tell."""

    resident_bytes: int | None
    peak_bytes: int | None


def time_runs(run: Callable[[], object], seconds: float) -> Timing:
    """Calls `run` one after another for so long, and at least LEAST_RUNS times.

    One call before is not counted: while others had their turn, caches went cold and the clock slowed down.
    """
    run()
    durations_ns: list[int] = []
    cpu_s = time.process_time()
    start_ns = now_ns = time.perf_counter_ns()
    end_ns = start_ns + round(seconds * 1e9)
    while (now_ns < end_ns or len(durations_ns) < LEAST_RUNS) and len(durations_ns) < _MOST_RUNS:
        before_ns = time.perf_counter_ns()
        run()
        now_ns = time.perf_counter_ns()
        durations_ns.append(now_ns - before_ns)
    return Timing(tuple(durations_ns), (now_ns - start_ns) / 1e9, time.process_time() - cpu_s)


def look_at_memory() -> Memory:
    """On Linux from /proc: what `getrusage` calls the peak is inherited from whoever started the process."""
    if platform.system() == "Darwin":
        import resource  # noqa: PLC0415 - not on every system

        return Memory(None, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return _from_status(Path("/proc/self/status"))


def _from_status(path: Path) -> Memory:
    try:
        sizes = {name: int(kib) * 1024 for name, kib in _KIB_LINE.findall(path.read_text(encoding="utf-8"))}
    except OSError:  # Windows
        sizes = {}
    return Memory(sizes.get("VmRSS"), sizes.get("VmHWM"))
