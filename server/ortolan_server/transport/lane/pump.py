"""What the loop does when no event is ready."""

from collections.abc import Callable

__all__ = ["LanePump"]


class LanePump:
    """Work put off until all that has arrived is read: so it forms batches by itself, and nobody waits for a timer."""

    def __init__(self) -> None:
        self._work: list[Callable[[], None]] = []

    @property
    def due(self) -> bool:
        return bool(self._work)

    def put(self, work: Callable[[], None]) -> None:
        self._work.append(work)

    def run(self) -> None:
        work, self._work = self._work, []
        for each in work:
            each()
