"""Memory that was freed goes back to the system."""

import ctypes
import sys
from pathlib import Path

import pytest

from ortolan_backends.runtime import heap

PIECES, SIZE = 4000, 16 << 10


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


@pytest.mark.skipif(sys.platform != "linux" or heap._trim is None, reason="the C library is not glibc")
def test_what_was_freed_is_given_back() -> None:
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.free.argtypes = [ctypes.c_void_p]
    heap.give_back()
    before = resident_bytes()
    pieces = [libc.malloc(SIZE) for _ in range(PIECES)]
    for piece in pieces:
        ctypes.memset(piece, 1, SIZE)
    last = libc.malloc(SIZE)  # on top, so that what is below is not given back by itself
    for piece in pieces:
        libc.free(piece)
    assert resident_bytes() - before > PIECES * SIZE / 2
    heap.give_back()
    assert resident_bytes() - before < PIECES * SIZE / 4
    libc.free(last)


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "_trim", None)
    heap.give_back()
