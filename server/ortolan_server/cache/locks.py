"""One builder at a time, and no eviction of what is in use: a lock file for each key, held by `flock`.

The kernel lets go of a lock when its process ends, however it ends. The file's time is that of its last use, so that
the entry itself is not written to when it is used.
"""

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path

__all__ = ["KeyLock"]

_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)
_NOT_OPEN = -1


class KeyLock:
    """Several of one process exclude each other as those of several processes do."""

    def __init__(self, path: Path) -> None:
        """Holds nothing yet."""
        self._path = path
        self._descriptor = _NOT_OPEN

    def share(self) -> None:
        """Waits while someone builds or removes; from then on nobody does. Raises OSError."""
        self._hold(fcntl.LOCK_SH)

    def own(self) -> None:
        """Waits until nobody else uses it. A shared lock is let go of meanwhile. Raises OSError."""
        self._hold(fcntl.LOCK_EX)

    def own_if_free(self) -> bool:
        """False while somebody uses it. Raises OSError."""
        try:
            self._hold(fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def touch(self) -> None:
        """Notes a use, where the file may be written to."""
        with suppress(OSError):
            os.utime(self._descriptor)

    def remove(self) -> None:
        """Removes the file of a lock that is owned; whoever waits for it takes a new one. Raises OSError."""
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Lets go. A second time does nothing."""
        descriptor, self._descriptor = self._descriptor, _NOT_OPEN
        if descriptor != _NOT_OPEN:
            os.close(descriptor)

    def _hold(self, how: int) -> None:
        while True:
            if self._descriptor == _NOT_OPEN:
                self._descriptor = _open(self._path)
            fcntl.flock(self._descriptor, how)
            if self._is_at_its_path():
                return
            self.close()  # it was removed while we waited

    def _is_at_its_path(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._path.stat())
        except FileNotFoundError:
            return False


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in _READ_ONLY:
            raise
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # as in an image: what is there can be used
