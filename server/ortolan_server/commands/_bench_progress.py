"""How far a bench is, on stderr."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Column

from ortolan_server.bench.runner import Progress

__all__ = ["BenchProgress"]

_BAR_WIDTH = 16
_STAGE_WIDTH = 27  # of `round 2 of 5, batch size 32`: what stands right of it must not jump about


class BenchProgress:
    """A bar on a terminal, which goes when the bench ends; in a pipe nothing."""

    def __init__(self, chain_width: int) -> None:
        """`chain_width`: of the longest chain's name."""
        console = Console(stderr=True, highlight=False)
        self._bars = Bars(
            TextColumn("{task.fields[chain]}", style="bold", markup=False, table_column=Column(min_width=chain_width)),
            TextColumn("{task.description}", markup=False, table_column=Column(min_width=_STAGE_WIDTH)),
            BarColumn(_BAR_WIDTH),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            redirect_stdout=False,
            disable=not console.is_terminal,
        )
        self._task = self._bars.add_task("starting", total=None, chain="")

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None
    ) -> None:
        self._bars.stop()

    def show(self, progress: Progress) -> None:
        self._bars.update(
            self._task,
            description=progress.stage,
            chain=progress.chain,
            completed=progress.done,
            total=progress.total,
        )
