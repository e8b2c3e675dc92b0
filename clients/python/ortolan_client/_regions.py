"""System shared memory: a region that this process and a server on the same machine both have mapped.

Regions are files under /dev/shm, as Linux has POSIX shared memory. One has its name only until the server has mapped
it: then nothing of it is left when both processes have let go of it, however they end.
"""

import math
import mmap
import os
import secrets
import threading
from collections.abc import Sequence
from operator import index
from pathlib import Path
from typing import Any, NamedTuple, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ortolan_client._errors import NotSupported
from ortolan_client._tensors import datatype_of

__all__ = ["Place", "Region", "place_in", "wanted_place"]

_FOLDER = Path("/dev/shm")  # noqa: S108 (not for temporary files)
# A cache line, and the widest that today's processors load at once.
_ALIGNED_BYTES = 64


class Place(NamedTuple):
    """Bytes in a region."""

    region: str
    offset: int
    size_bytes: int


class Region:
    """Memory for arrays, given out one behind the other. Lives as long as an array in it does; threads may share it."""

    def __init__(self, size_bytes: int) -> None:
        """Raises OSError where there is no room, and NotSupported on a system that keeps shared memory elsewhere."""
        if size_bytes < 1:
            raise ValueError(f"a region has at least one byte, not {size_bytes}")
        if not _FOLDER.is_dir():
            raise NotSupported(f"this system has no {_FOLDER}, where Linux keeps shared memory", code="UNIMPLEMENTED")
        self.name = f"ortolan-{os.getpid()}-{secrets.token_hex(8)}"
        self.size_bytes = size_bytes
        self._path = _FOLDER / self.name
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, size_bytes)
            self._memory = mmap.mmap(descriptor, size_bytes)
        except BaseException:
            self.forget_name()
            raise
        finally:
            os.close(descriptor)
        self._address = _address(np.frombuffer(self._memory, np.uint8))
        self._used_bytes = 0
        self._giving = threading.Lock()

    @property
    def key(self) -> str:
        """What `shm_open` calls it."""
        return f"/{self.name}"

    @property
    def left_bytes(self) -> int:
        return self.size_bytes - self._used_bytes

    def forget_name(self) -> None:
        """Who has it mapped keeps it; nobody else can open it any more."""
        self._path.unlink(missing_ok=True)

    def empty(self, shape: SupportsIndex | Sequence[int], dtype: DTypeLike = np.float32) -> NDArray[Any]:
        """An array in the region, as `numpy.empty` but for its default dtype.

        Raises ValueError when it does not fit into what is left, for dtypes that the protocol cannot carry, and for
        sizes under 0.
        """
        kind = np.dtype(dtype)
        if datatype_of(np.empty(0, kind)) == "BYTES":
            raise ValueError("arrays in shared memory are of numbers: text has another form on its way")
        sizes = tuple(shape) if isinstance(shape, Sequence) else (index(shape),)
        with self._giving:
            start = -(-self._used_bytes // _ALIGNED_BYTES) * _ALIGNED_BYTES
            end = start + math.prod(sizes) * kind.itemsize
            if end > self.size_bytes:
                raise ValueError(
                    f"{kind} {list(sizes)} takes {end - start} bytes; {max(0, self.size_bytes - start)} of "
                    f"{self.size_bytes} are left"
                )
            array: NDArray[Any] = np.ndarray(sizes, kind, self._memory, start)
            self._used_bytes = end
        return array

    def array(self, values: ArrayLike) -> NDArray[Any]:
        """A copy of `values` in the region."""
        given = np.asarray(values)
        placed = self.empty(given.shape, given.dtype)
        placed[...] = given
        return placed

    def find(self, array: NDArray[Any]) -> Place | None:
        """Where it is; None: elsewhere, or not as the protocol wants it, in one piece and little-endian."""
        offset = _address(array) - self._address
        inside = offset >= 0 and offset + array.nbytes <= self.size_bytes and array.nbytes > 0
        if not inside or not array.flags.c_contiguous or array.dtype != array.dtype.newbyteorder("<"):
            return None
        return Place(self.name, offset, array.nbytes)

    def view(self, place: Place) -> memoryview:
        """Raises ValueError for a place outside of it."""
        end = place.offset + place.size_bytes
        if place.offset < 0 or place.size_bytes < 0 or end > self.size_bytes:
            raise ValueError(f"{place.size_bytes} bytes at offset {place.offset} are outside of its region")
        return memoryview(self._memory)[place.offset : end]


def _address(array: NDArray[Any]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def place_in(regions: Sequence[Region], array: NDArray[Any]) -> Place | None:
    """In the one that has it; None: in none."""
    for region in regions:
        place = region.find(array)
        if place is not None:
            return place
    return None


def wanted_place(regions: Sequence[Region], array: NDArray[Any] | None, name: str) -> Place | None:
    """Where the output `name` shall go. Raises ValueError for an array that is in no shared memory."""
    if array is None:
        return None
    place = place_in(regions, array)
    if place is None:
        raise ValueError(
            f"output {name!r} is to be written to an array that is not in shared memory of this client: "
            "wanted one of client.shared_memory(…).empty(…), in one piece"
        )
    return place
