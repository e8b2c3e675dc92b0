"""Whether files have changed since somebody looked, for a few calls of `stat`."""

from collections.abc import Iterable
from pathlib import Path

__all__ = ["FileMarks"]

# Which file it is, its size, when it was written, and when its rights last changed; None where there is none.
_Mark = tuple[int, int, int, int, int] | None

# A file that was written within the last moments may change again without a trace in its marks: the clock of a
# file system ticks every few milliseconds only, on some every two seconds.
_SETTLED_S = 3.0


class FileMarks:
    """Of a few files, for one thread at a time."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = tuple(paths)
        self._marks: tuple[_Mark, ...] = ()
        self._settled = False

    def look(self, now_s: float) -> bool:
        """Whether the files may be others than at the last look. `now_s`: on the clock of file systems, since 1970."""
        marks = tuple(_mark(path) for path in self._paths)
        changed = marks != self._marks or not self._settled
        newest_s = max((mark[0] / 1e9 for mark in marks if mark), default=0.0)
        self._marks, self._settled = marks, now_s - newest_s > _SETTLED_S
        return changed

    def distrust(self) -> None:
        """The next look is to say that they may have changed, whatever the marks are."""
        self._settled = False


def _mark(path: Path) -> _Mark:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev, found.st_ctime_ns
