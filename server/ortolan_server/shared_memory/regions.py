"""Regions: parts of shared memory objects, under names that inferences use."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ortolan_server.errors import InvalidRequest, Overloaded, RegionExists, RegionNotFound
from ortolan_server.shared_memory.objects import Mapped, map_object
from ortolan_server.tensors.wording import quoted

__all__ = ["Place", "Region", "Regions", "Span"]

_MAX_REGIONS = 1024
_MAX_NAME_CHARACTERS = 1024


class Place(NamedTuple):
    """Where a request has a tensor."""

    region: str
    byte_size: int
    offset: int = 0
    """From the region's start."""


class Span(NamedTuple):
    """The memory of a place. It stays mapped while something refers to `memory` or a view of it."""

    place: Place
    memory: memoryview
    """Writable, and of the place's size."""
    mapped: Mapped
    object_end: int
    """Where in the object it ends."""

    def overlaps(self, other: "Span") -> bool:
        """Whether they share bytes, be it through different regions."""
        return (
            self.mapped.object_id == other.mapped.object_id
            and self.object_end - len(self.memory) < other.object_end
            and other.object_end - len(other.memory) < self.object_end
        )

    def check(self) -> None:
        """Raises InvalidRequest when the object has been shortened: to touch what is gone ends the process."""
        size_bytes = self.mapped.memory.size()
        if size_bytes < self.object_end:
            raise InvalidRequest(
                f"the object of shared memory region {quoted(self.place.region)} has {size_bytes} bytes now; "
                f"wanted {self.object_end}, as when it was registered"
            )


@dataclass(frozen=True, slots=True)
class Region:
    """A registered one."""

    name: str
    key: str
    offset: int
    byte_size: int
    mapped: Mapped


class Regions:
    """Registered regions by name. Threads may share it.

    A region that is unregistered stays mapped until the last span of it goes.
    """

    def __init__(self, max_bytes: int) -> None:
        """`max_bytes`: of all regions together."""
        self._max_bytes = max_bytes
        self._regions: dict[str, Region] = {}
        self._lock = threading.Lock()

    @property
    def all(self) -> Mapping[str, Region]:
        return dict(self._regions)

    def find(self, name: str) -> Region:
        """Raises RegionNotFound."""
        region = self._regions.get(name)
        if region is None:
            raise RegionNotFound(f"no shared memory region {quoted(name)} is registered")
        return region

    def register(self, name: str, key: str, offset: int, byte_size: int) -> None:
        """Once more with the same memory is fine.

        Raises RegionExists for a name that other memory has; else as `map_object()`, and Overloaded for too many.
        """
        if not 0 < len(name) <= _MAX_NAME_CHARACTERS:
            raise InvalidRequest(f"region name {quoted(name)}: wanted 1 to {_MAX_NAME_CHARACTERS} characters")
        with self._lock:
            there = self._regions.get(name)
            if there is not None and (there.key, there.offset, there.byte_size) != (key, offset, byte_size):
                raise RegionExists(
                    f"shared memory region {quoted(name)} is registered already, with {there.byte_size} bytes at "
                    f"offset {there.offset} of {quoted(there.key)}: unregister it first"
                )
            if there is None:
                self._check_room(byte_size)
            mapped = map_object(key, offset, byte_size)
            if there is None:
                self._regions[name] = Region(name, key, offset, byte_size, mapped)
            elif there.mapped.object_id != mapped.object_id:
                raise RegionExists(
                    f"shared memory region {quoted(name)} is registered already, and {quoted(key)} is another object "
                    "now: unregister it first"
                )

    def unregister(self, name: str) -> None:
        """A name that is not there is fine."""
        with self._lock:
            self._regions.pop(name, None)

    def unregister_all(self) -> None:
        with self._lock:
            self._regions.clear()

    def span(self, place: Place) -> Span:
        """Raises RegionNotFound, and InvalidRequest for a place outside of its region or of what is left of it."""
        region = self.find(place.region)
        offset, byte_size = place.offset, place.byte_size
        if offset + byte_size > region.byte_size:
            raise InvalidRequest(
                f"{byte_size} bytes at offset {offset} are outside of shared memory region {quoted(place.region)}, "
                f"which has {region.byte_size} bytes"
            )
        mapped = region.mapped
        start = mapped.start + offset
        memory = memoryview(mapped.memory)[start : start + byte_size]
        span = Span(place, memory, mapped, region.offset + offset + byte_size)
        span.check()
        return span

    def _check_room(self, byte_size: int) -> None:
        if len(self._regions) >= _MAX_REGIONS:
            raise Overloaded(f"{_MAX_REGIONS} shared memory regions are registered, the most this server takes")
        taken = sum(region.byte_size for region in self._regions.values())
        if taken + byte_size > self._max_bytes:
            raise Overloaded(
                f"the shared memory regions have {taken} bytes together; {byte_size} more are over the "
                f"{self._max_bytes} this server takes (ortolan serve --shared-memory-size)"
            )
