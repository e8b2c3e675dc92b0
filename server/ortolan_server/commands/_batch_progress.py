"""How far a batch job is, on stderr."""

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from ortolan_server.commands._progress import BAR_WIDTH, ProgressBar

__all__ = ["BatchProgress"]


class BatchProgress(ProgressBar):
    """Rows a second and the time that is left."""

    def __init__(self, model: str) -> None:
        super().__init__(
            Console(stderr=True, highlight=False),
            TextColumn("{task.description}", style="bold", markup=False),
            BarColumn(BAR_WIDTH),
            TextColumn("{task.completed:,} rows"),
            _Rate(),
            TimeRemainingColumn(),
            TextColumn("left"),
        )
        self._task = self.bars.add_task(model, total=None)

    def waiting(self, reason: str, for_s: float) -> None:
        """There is no server to begin with; it is waited for."""
        text = f"ortolan: {reason}; trying again for {for_s:.0f} s"
        self.bars.console.print(text, markup=False, soft_wrap=True)

    def begin(self, rows: int) -> None:
        """So many were done by earlier runs."""
        self.bars.reset(self._task, completed=rows)

    def show(self, rows: int, total: int | None) -> None:
        self.bars.update(self._task, completed=rows, total=total)


class _Rate(ProgressColumn):
    """Rows a second, lately."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} rows/s")
