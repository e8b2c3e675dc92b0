"""POSIX shared memory objects, as Linux has them: files under /dev/shm.

A caller names the object, and the server opens it with its own rights. So only objects count that belong to the
server's own user and that nobody else may write: whoever holds such a one could stop the server anyway, which is all
that somebody can do who changes or shortens the memory while the server works on it.
"""

import errno
import mmap
import os
import stat
from typing import NamedTuple

from ortolan_server.errors import InvalidConfig, InvalidRequest, Overloaded
from ortolan_server.tensors.wording import quoted

__all__ = ["FOLDER", "Mapped", "map_object", "require_shared_memory"]

FOLDER = "/dev/shm"  # noqa: S108 - not for temporary files
_MAX_KEY_BYTES = 255
_MOST_BYTES = 2**63 - 1
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class Mapped(NamedTuple):
    """A part of an object, mapped for reading and writing until nothing refers to `memory`, nor to a view of it."""

    memory: mmap.mmap
    start: int
    """Where in `memory` the part starts: mappings begin at whole pages."""
    object_id: tuple[int, int]
    """The same for mappings of the same object."""


def require_shared_memory() -> None:
    """Raises InvalidConfig on a system that keeps shared memory elsewhere."""
    if not os.path.isdir(FOLDER):  # noqa: PTH112 - every other call here takes paths as text
        raise InvalidConfig(f"settings: --shared-memory: this system has no {FOLDER}, where Linux keeps shared memory")


def map_object(key: str, offset: int, size_bytes: int) -> Mapped:
    """Maps `size_bytes` at `offset` of the object `key`, and has the system set memory aside for them.

    Raises InvalidRequest for what is no such object of this server's user, and for one that is too small; Overloaded
    when there is no memory.
    """
    if offset < 0 or size_bytes <= 0 or offset + size_bytes > _MOST_BYTES:
        raise InvalidRequest(f"shared memory of {size_bytes} bytes at offset {offset}: wanted at least one byte")
    name = _file_name(key)
    descriptor = _open(name, key)
    try:
        found = os.fstat(descriptor)
        _check(found, key, offset + size_bytes)
        _set_aside(descriptor, key, offset, size_bytes)
        start = offset % mmap.ALLOCATIONGRANULARITY
        memory = mmap.mmap(descriptor, start + size_bytes, offset=offset - start)
    except (OSError, ValueError, OverflowError) as error:
        raise InvalidRequest(f"shared memory object {quoted(key)} cannot be mapped: {error}") from error
    finally:
        os.close(descriptor)
    return Mapped(memory, start, (found.st_dev, found.st_ino))


def _file_name(key: str) -> str:
    """As `shm_open` reads a key: slashes in front mean nothing, and no other may be there."""
    name = key.lstrip("/")
    wrong = not name or name in (".", "..") or "/" in name or "\0" in name
    if wrong or len(name.encode()) > _MAX_KEY_BYTES:
        raise InvalidRequest(
            f"{quoted(key)} is no key of shared memory; wanted '/' and a name without a slash, "
            f"of at most {_MAX_KEY_BYTES} bytes"
        )
    return name


def _open(name: str, key: str) -> int:
    try:
        # Not through a link, and a pipe with that name must not hold the thread.
        return os.open(f"{FOLDER}/{name}", os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise InvalidRequest(f"there is no shared memory object {quoted(key)}") from error
    except OSError as error:
        why = "it is a link" if error.errno == errno.ELOOP else os.strerror(error.errno or 0)
        raise InvalidRequest(f"shared memory object {quoted(key)} cannot be opened: {why}") from error


def _check(found: os.stat_result, key: str, end: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise InvalidRequest(f"{quoted(key)} is no shared memory object")
    if found.st_uid != os.geteuid():
        raise InvalidRequest(
            f"shared memory object {quoted(key)} belongs to user {found.st_uid}; "
            f"wanted user {os.geteuid()}, whom the server runs as"
        )
    if found.st_mode & _OTHERS_WRITE:
        raise InvalidRequest(
            f"shared memory object {quoted(key)} may be written by other users (mode "
            f"{stat.S_IMODE(found.st_mode):04o}); wanted 0600"
        )
    if found.st_size < end:
        raise InvalidRequest(
            f"shared memory object {quoted(key)} has {found.st_size} bytes; wanted {end} for this offset and size"
        )


def _set_aside(descriptor: int, key: str, offset: int, size_bytes: int) -> None:
    """Holes are filled now: to write to one when memory is used up would end the process."""
    try:
        os.posix_fallocate(descriptor, offset, size_bytes)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.ENOMEM):
            raise
        raise Overloaded(f"the system has no memory for the {size_bytes} bytes of object {quoted(key)}") from error
