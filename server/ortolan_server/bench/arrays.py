"""Arrays in a file, between a bench and the processes of its chains."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["read_arrays", "write_arrays"]


def write_arrays(path: Path, arrays: Iterable[NDArray[Any]]) -> None:
    """Texts as numpy's fixed-width kind, so that no reader has to unpickle."""
    np.savez(path, *(array.astype(np.str_) if array.dtype == object else array for array in arrays))


def read_arrays(path: Path) -> list[NDArray[Any]]:
    """In the order in which they were written."""
    with np.load(path, allow_pickle=False) as file:
        return [file[f"arr_{number}"] for number in range(len(file.files))]
