"""How far a batch job is, on stderr."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

__all__ = ["BatchProgress"]

_BAR_WIDTH = 16


class BatchProgress:
    """A bar with rows a second and the time that is left, on a terminal; in a pipe nothing."""

    def __init__(self, model: str) -> None:
        console = Console(stderr=True, highlight=False)
        self._bars = Progress(
            TextColumn("{task.description}", style="bold", markup=False),
            BarColumn(_BAR_WIDTH),
            TextColumn("{task.completed:,} rows"),
            _Rate(),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
            transient=True,
            redirect_stdout=False,
            disable=not console.is_terminal,
        )
        self._task = self._bars.add_task(model, total=None)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None
    ) -> None:
        self._bars.stop()

    def waiting(self, reason: str, for_s: float) -> None:
        """There is no server to begin with; it is waited for."""
        text = f"ortolan: {reason}; trying again for {for_s:.0f} s"
        self._bars.console.print(text, markup=False, soft_wrap=True)

    def begin(self, rows: int) -> None:
        """So many were done by earlier runs."""
        self._bars.reset(self._task, completed=rows)

    def show(self, rows: int, total: int | None) -> None:
        self._bars.update(self._task, completed=rows, total=total)


class _Rate(ProgressColumn):
    """Rows a second, lately."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} rows/s")
