"""How far a bench is, on stderr."""

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column

from ortolan_server.bench.runner import Progress
from ortolan_server.commands._progress import BAR_WIDTH, ProgressBar

__all__ = ["BenchProgress"]

_STAGE_WIDTH = 27  # of `round 2 of 5, batch size 32`: what stands right of it must not jump about


class BenchProgress(ProgressBar):
    """Which chain is at which stage, and the time that is left."""

    def __init__(self, chain_width: int) -> None:
        """`chain_width`: of the longest chain's name."""
        super().__init__(
            Console(stderr=True, highlight=False),
            TextColumn("{task.fields[chain]}", style="bold", markup=False, table_column=Column(min_width=chain_width)),
            TextColumn("{task.description}", markup=False, table_column=Column(min_width=_STAGE_WIDTH)),
            BarColumn(BAR_WIDTH),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self._task = self.bars.add_task("starting", total=None, chain="")

    def show(self, progress: Progress) -> None:
        self.bars.update(
            self._task,
            description=progress.stage,
            chain=progress.chain,
            completed=progress.done,
            total=progress.total,
        )
