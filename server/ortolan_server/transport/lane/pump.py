"""What the loop does when no event is ready."""

from collections.abc import Callable

__all__ = ["LanePump"]


class LanePump:
    """Work put off until all that has arrived is read: so it forms batches by itself, and nobody waits for a timer."""

    def __init__(self) -> None:
        self.work: list[Callable[[], None]] = []
        """What is due, in its order."""

    def put(self, work: Callable[[], None]) -> None:
        self.work.append(work)

    def run(self) -> None:
        """Does what is due; what comes of it meanwhile is for the next time."""
        work, self.work = self.work, []
        for each in work:
            each()
