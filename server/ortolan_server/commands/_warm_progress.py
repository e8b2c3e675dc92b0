"""How far the building ahead is, on stderr."""

import os
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

__all__ = ["WarmProgress"]

_BAR_WIDTH = 16


class WarmProgress:
    """A bar on a terminal, which goes when all is built; in a pipe nothing."""

    def __init__(self, rungs: int, descriptor: int) -> None:
        """`descriptor` is standard error as it was before ONNX Runtime's log took its place."""
        self._stream = os.fdopen(os.dup(descriptor), "w", encoding="utf-8", errors="replace")
        console = Console(file=self._stream, highlight=False)
        self._bars = Progress(
            TextColumn("{task.description}", style="bold", markup=False),
            BarColumn(_BAR_WIDTH),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            redirect_stdout=False,
            disable=not console.is_terminal,
        )
        self._task = self._bars.add_task("", total=rungs)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None
    ) -> None:
        self._bars.stop()
        self._stream.close()

    def begin(self, model: str) -> None:
        self._bars.update(self._task, description=model)

    def done(self) -> None:
        """One more rung."""
        self._bars.advance(self._task)
