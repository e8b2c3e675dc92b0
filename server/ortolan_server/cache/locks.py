"""One builder at a time, and no removal of what is in use: two lock files for each key, held by `flock`.

Whoever opens a session through an entry holds the first while it opens, alone if it builds, so that others wait for a
build and for nothing else; and it shares the second for as long as the session lives, so that nobody removes what it
may still read or write. The kernel lets go of a lock when its process ends, however it ends.
"""

import errno
import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

__all__ = ["KeyLock", "KeyLocks"]

_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)
_NOT_OPEN = -1
_LOOK_S = 0.05


class KeyLock:
    """Several of one process exclude each other as those of several processes do."""

    def __init__(self, path: Path, go_on: Callable[[], None] = lambda: None) -> None:
        """Holds nothing yet. `go_on` is called now and then while it is waited for, and raises to end that."""
        self._path = path
        self._go_on = go_on
        self._descriptor = _NOT_OPEN

    def share(self) -> None:
        """Waits while someone builds or removes; from then on nobody does. Raises OSError."""
        self._hold(fcntl.LOCK_SH)

    def own(self) -> None:
        """Waits until nobody else uses it. A shared lock is let go of meanwhile. Raises OSError."""
        self._hold(fcntl.LOCK_EX)

    def own_if_free(self) -> bool:
        """False while somebody else holds it, and then nothing is held. Raises OSError."""
        try:
            self._hold(fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            return False
        return True

    def touch(self) -> None:
        """Notes a use, where the file may be written to."""
        with suppress(OSError):
            os.utime(self._descriptor)

    def remove(self) -> None:
        """Removes the file of a lock that is owned; whoever waits for it makes a new one. Raises OSError."""
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
            self._flock(how)
            if self._is_at_its_path():
                return
            self.close()  # it was removed while we waited

    def _flock(self, how: int) -> None:
        while True:
            try:
                fcntl.flock(self._descriptor, how | fcntl.LOCK_NB)
            except BlockingIOError:
                if how & fcntl.LOCK_NB:
                    raise
            else:
                return
            self._go_on()
            time.sleep(_LOOK_S)

    def _is_at_its_path(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._path.stat())
        except FileNotFoundError:
            return False


class KeyLocks:
    """Both of a key. `use` has the time of the last use, so that the entry itself is not written to when it is used."""

    def __init__(self, opening: Path, use: Path, go_on: Callable[[], None] = lambda: None) -> None:
        """Of these files; holds nothing yet. `go_on`: see `KeyLock`."""
        self.opening = KeyLock(opening, go_on)
        self.use = KeyLock(use, go_on)

    def own_if_free(self) -> bool:
        """False while somebody opens or uses it, and then nothing is held. Raises OSError."""
        if not self.opening.own_if_free():
            return False
        if not self.use.own_if_free():
            self.opening.close()
            return False
        return True

    def remove(self) -> None:
        """Both files; both are to be owned. Raises OSError."""
        self.use.remove()
        self.opening.remove()

    def close(self) -> None:
        self.use.close()
        self.opening.close()


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in _READ_ONLY or not path.exists():
            raise
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # as in an image: what is there can be used
