"""How far the building ahead is, on stderr."""

import os
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

from ortolan_server.commands._progress import BAR_WIDTH, ProgressBar

__all__ = ["WarmProgress"]


class WarmProgress(ProgressBar):
    """Which model is built, and how many rungs are done."""

    def __init__(self, rungs: int, descriptor: int) -> None:
        """`descriptor` is standard error as it was before ONNX Runtime's log took its place."""
        self._stream = os.fdopen(os.dup(descriptor), "w", encoding="utf-8", errors="replace")
        super().__init__(
            Console(file=self._stream, highlight=False),
            TextColumn("{task.description}", style="bold", markup=False),
            BarColumn(BAR_WIDTH),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        self._task = self.bars.add_task("", total=rungs)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, where)
        self._stream.close()

    def begin(self, model: str) -> None:
        self.bars.update(self._task, description=model)

    def done(self) -> None:
        """One more rung."""
        self.bars.advance(self._task)
