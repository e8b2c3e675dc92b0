"""What a serving process chooses for the whole of itself; docs/decisions/0007-the-fast-lane.md has what it is worth."""

import ctypes
import gc
import sys

__all__ = ["settle", "tune"]

# Small calls wait for the interpreter when a thread with long Python work holds it; Python's own 5 ms is
# made for throughput.
_SWITCH_INTERVAL_S = 5e-4
# Calls in flight are thousands of young objects that end by themselves: Python's own 700 make it look for garbage among
# them many times a second.
_NEW_OBJECTS = 20_000
# The C library gives large blocks back to the system at once, and each new one costs a page fault for every 4 KB. It
# keeps so many bytes instead, and takes blocks up to the largest that it allows from what it keeps.
_KEPT_BYTES = 64 * 2**20
_LARGEST_BYTES = 32 * 2**20
# Of mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def tune() -> None:
    """Before the first thread is started."""
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])
    if choose := getattr(ctypes.CDLL(None), "mallopt", None):  # glibc has it
        choose(_M_MMAP_THRESHOLD, _LARGEST_BYTES)
        choose(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def settle() -> None:
    """Once everything is loaded.

    Half a million objects stay from now on: to look through them again and again would hold all calls for tens of ms.
    """
    gc.collect()
    gc.freeze()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)
