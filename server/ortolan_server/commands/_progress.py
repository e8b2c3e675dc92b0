"""A bar that says how far a command is."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import Progress, ProgressColumn

__all__ = ["BAR_WIDTH", "ProgressBar"]

BAR_WIDTH = 16


class ProgressBar:
    """Shown on a terminal while its block runs; in a pipe nothing."""

    def __init__(self, console: Console, *columns: ProgressColumn) -> None:
        self.bars = Progress(
            *columns, console=console, transient=True, redirect_stdout=False, disable=not console.is_terminal
        )

    def __enter__(self) -> Self:
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.bars.stop()
