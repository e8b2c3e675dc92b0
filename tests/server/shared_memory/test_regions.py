"""Regions over real objects in /dev/shm."""

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortolan_server.errors import InvalidRequest, Overloaded, RegionExists, RegionNotFound
from ortolan_server.shared_memory import Place, Regions
from ortolan_server.shared_memory.objects import FOLDER

SIZE = 8192
Make = Callable[..., str]


@pytest.fixture
def make() -> Iterator[Make]:
    """`make(size, mode)`: the key of a new object."""
    paths: list[Path] = []

    def make(size_bytes: int = SIZE, mode: int = 0o600) -> str:
        path = Path(FOLDER) / f"ortolan-test-{secrets.token_hex(8)}"
        paths.append(path)
        path.write_bytes(bytes(index % 251 for index in range(size_bytes)))
        path.chmod(mode)
        return f"/{path.name}"

    yield make
    for path in paths:
        path.unlink(missing_ok=True)


@pytest.fixture
def regions() -> Regions:
    return Regions(4 * SIZE)


def path_of(key: str) -> Path:
    return Path(FOLDER) / key.lstrip("/")


@pytest.mark.parametrize("offset", [0, 1, 4096, 4100])
def test_a_span_is_the_object_itself(make: Make, regions: Regions, offset: int) -> None:
    key = make()
    regions.register("r", key, offset, SIZE - offset)
    span = regions.span(Place("r", 16, 5))
    assert bytes(span.memory) == path_of(key).read_bytes()[offset + 5 : offset + 21]
    span.memory[:2] = b"!?"
    assert path_of(key).read_bytes()[offset + 5 : offset + 7] == b"!?"


@pytest.mark.parametrize("key", ["", "/", "..", "/..", "/../etc/passwd", "/a/b", "a/../b", "/.", "x\0y", "x" * 256])
def test_what_is_no_key(regions: Regions, key: str) -> None:
    with pytest.raises(InvalidRequest, match="is no key of shared memory"):
        regions.register("r", key, 0, 8)


@given(key=st.text(max_size=40))
def test_no_key_leaves_the_folder(key: str) -> None:
    """Whatever is asked for: refused, or a plain name, of which there is none."""
    with pytest.raises(InvalidRequest, match=r"is no key of shared memory|there is no shared memory object"):
        Regions(SIZE).register("r", f"/../{key}", 0, 8)
    with pytest.raises(InvalidRequest):
        Regions(SIZE).register("r", f"/ortolan-none-{key}", 0, 8)


def test_links_are_not_followed(make: Make, regions: Regions, tmp_path: Path) -> None:
    target = tmp_path / "secret"
    target.write_bytes(bytes(SIZE))
    key = make()
    path_of(key).unlink()
    path_of(key).symlink_to(target)
    with pytest.raises(InvalidRequest, match="cannot be opened: it is a link"):
        regions.register("r", key, 0, 8)


def test_what_is_no_object(make: Make, regions: Regions) -> None:
    key = make()
    path_of(key).unlink()
    os.mkfifo(path_of(key), 0o600)
    with pytest.raises(InvalidRequest, match="is no shared memory object"):
        regions.register("r", key, 0, 8)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_objects_that_others_may_write_are_refused(make: Make, regions: Regions, mode: int) -> None:
    with pytest.raises(InvalidRequest, match=r"may be written by other users .*; wanted 0600"):
        regions.register("r", make(mode=mode), 0, 8)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_objects_of_others_are_refused(make: Make, regions: Regions) -> None:
    key = make()
    os.chown(path_of(key), 12345, -1)
    with pytest.raises(InvalidRequest, match="belongs to user 12345; wanted user 0, whom the server runs as"):
        regions.register("r", key, 0, 8)


@pytest.mark.parametrize(("offset", "size_bytes"), [(0, SIZE + 1), (SIZE, 1), (1, SIZE)])
def test_an_object_that_is_too_small(make: Make, regions: Regions, offset: int, size_bytes: int) -> None:
    with pytest.raises(InvalidRequest, match=f"has {SIZE} bytes; wanted {offset + size_bytes}"):
        regions.register("r", make(), offset, size_bytes)


@pytest.mark.parametrize(("offset", "size_bytes"), [(0, 0), (2**64 - 1, 1), (0, 2**64 - 1)])
def test_sizes_that_make_no_sense(make: Make, offset: int, size_bytes: int) -> None:
    with pytest.raises(InvalidRequest, match="wanted at least one byte"):
        Regions(2**64).register("r", make(), offset, size_bytes)


def test_the_same_once_more(make: Make, regions: Regions) -> None:
    key = make()
    regions.register("r", key, 0, 8)
    regions.register("r", key, 0, 8)
    with pytest.raises(RegionExists, match="is registered already, with 8 bytes at offset 0 of"):
        regions.register("r", key, 0, 9)
    path_of(key).unlink()
    path_of(key).write_bytes(bytes(SIZE))
    path_of(key).chmod(0o600)
    with pytest.raises(RegionExists, match="is another object now: unregister it first"):
        regions.register("r", key, 0, 8)


def test_bounds(make: Make, regions: Regions) -> None:
    key = make()
    for number in range(4):
        regions.register(str(number), key, 0, SIZE)
    with pytest.raises(Overloaded, match=r"32768 bytes together; 1 more are over the 32768 .*--shared-memory-size"):
        regions.register("one more", key, 0, 1)
    regions.unregister("0")
    regions.register("one more", key, 0, SIZE)


def test_number_of_regions(make: Make, regions: Regions) -> None:
    key = make()
    for number in range(1024):
        regions.register(str(number), key, 0, 1)
    with pytest.raises(Overloaded, match="1024 shared memory regions are registered"):
        regions.register("one more", key, 0, 1)


@pytest.mark.parametrize("name", ["", "n" * 1025])
def test_names(make: Make, regions: Regions, name: str) -> None:
    with pytest.raises(InvalidRequest, match="wanted 1 to 1024 characters"):
        regions.register(name, make(), 0, 1)


def test_unknown_regions(regions: Regions) -> None:
    regions.unregister("r")
    with pytest.raises(RegionNotFound, match="no shared memory region 'r' is registered"):
        regions.span(Place("r", 8))


@given(offset=st.integers(0, 2**63), size_bytes=st.integers(0, 2**63))
def test_a_place_is_inside_or_refused(offset: int, size_bytes: int) -> None:
    path = Path(FOLDER) / f"ortolan-test-{secrets.token_hex(8)}"
    path.write_bytes(bytes(64))
    path.chmod(0o600)
    try:
        regions = Regions(SIZE)
        regions.register("r", path.name, 0, 64)
        if offset + size_bytes <= 64:
            assert len(regions.span(Place("r", size_bytes, offset)).memory) == size_bytes
        else:
            with pytest.raises(InvalidRequest, match="outside of shared memory region 'r', which has 64 bytes"):
                regions.span(Place("r", size_bytes, offset))
    finally:
        path.unlink()


def test_an_object_that_was_shortened(make: Make, regions: Regions) -> None:
    key = make()
    regions.register("r", key, 0, SIZE)
    span = regions.span(Place("r", SIZE))
    os.truncate(path_of(key), 4096)
    with pytest.raises(InvalidRequest, match="has 4096 bytes now; wanted 8192"):
        regions.span(Place("r", SIZE))
    with pytest.raises(InvalidRequest, match="has 4096 bytes now"):
        span.check()
    assert len(regions.span(Place("r", 4096)).memory) == 4096


def test_holes_get_memory(regions: Regions, make: Make) -> None:
    key = make(0)
    os.truncate(path_of(key), 1 << 14)
    assert path_of(key).stat().st_blocks == 0
    regions.register("r", key, 0, 1 << 14)
    assert path_of(key).stat().st_blocks * 512 == 1 << 14


def test_an_unregistered_region_stays_while_it_is_used(make: Make, regions: Regions) -> None:
    key = make()
    regions.register("r", key, 0, SIZE)
    array = np.frombuffer(regions.span(Place("r", SIZE)).memory, np.uint8)
    assert mapped(key)
    regions.unregister("r")
    assert mapped(key)
    assert array[250] == 250
    del array
    assert not mapped(key)


def mapped(key: str) -> bool:
    return path_of(key).name in Path("/proc/self/maps").read_text()


def test_overlaps(make: Make, regions: Regions) -> None:
    key, other = make(), make()
    regions.register("a", key, 0, SIZE)
    regions.register("b", key, 4096, 4096)
    regions.register("c", other, 0, SIZE)
    span = regions.span(Place("a", 100, 4000))
    assert span.overlaps(regions.span(Place("b", 8)))
    assert not span.overlaps(regions.span(Place("b", 8, 4)))
    assert not span.overlaps(regions.span(Place("c", SIZE)))
    assert not span.overlaps(regions.span(Place("a", 4000)))
