"""Quick benches, and a look at the processes that they start."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ortolan_server.bench.report import BenchReport
from ortolan_server.bench.runner import Bench, BenchJob, Progress
from ortolan_server.repository.entry import read_model_folder

__all__ = ["children", "job", "run"]

_START_TIME = 22 - 5  # proc(5) counts from 1, and four fields stand before these


def job(model: Path, *chains: str, **changed: object) -> BenchJob:
    """`model` is a model's folder; chains as they are typed."""
    entry = read_model_folder(model, model.name)
    quick = BenchJob(entry, tuple(tuple(chain.split(",")) for chain in chains), rounds=2, seconds=0.02)
    return replace(quick, **changed)  # type: ignore[arg-type]


def run(wanted: BenchJob, on_progress: Callable[[Progress], None] = lambda _progress: None) -> BenchReport:
    return Bench(wanted, on_progress).run()


def children() -> list[int]:
    """Process ids of the benches' children of this process that have not ended, the first started first."""
    started = {int(path.name): at for path in Path("/proc").glob("[0-9]*") if (at := _started(path)) is not None}
    return sorted(started, key=started.__getitem__)  # not by their ids: those begin anew at some time


def _started(path: Path) -> int | None:
    """When, in clock ticks; None: it is none of them, or has ended."""
    try:
        state, parent, *more = (path / "stat").read_text().rpartition(")")[2].split()
        command = (path / "cmdline").read_bytes()
    except OSError:  # it has ended meanwhile
        return None
    ours = int(parent) == os.getpid() and state != "Z" and b"ortolan_server.bench.child" in command
    return int(more[_START_TIME]) if ours else None
