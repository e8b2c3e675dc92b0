"""What the C library keeps of memory that was freed, given back to the system."""

import ctypes
from collections.abc import Callable

__all__ = ["give_back"]


def give_back() -> None:
    """To be called once large things have gone, such as a session: it takes milliseconds.

    glibc keeps freed pieces of up to 32 MiB for later, weights and protobuf messages among them: over 30 reloads of a
    model of 8 MB that came to up to 40 MB. Other C libraries have no such call; then nothing is done.
    """
    if _trim is not None:
        _trim(0)


def _find() -> "Callable[[int], object] | None":
    try:
        trim: Callable[[int], object] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # TypeError: Windows takes no None
        return None
    return trim


_trim = _find()
