"""Inferences that were refused before a model's engine had them."""

import threading
from collections import Counter
from collections.abc import Mapping

from ortolan_server.errors import OrtolanError

__all__ = ["Rejections"]


class Rejections:
    """Counts them; all others are in the statistics of their model. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, type[OrtolanError]]] = Counter()

    def add(self, error: OrtolanError, model: str = "") -> None:
        """`model` must be one of the repository's; empty: none that is known."""
        with self._lock:
            self._counts[model, type(error)] += 1

    def snapshot(self) -> Mapping[tuple[str, type[OrtolanError]], int]:
        """By model and what became of them."""
        with self._lock:
            return dict(self._counts)
