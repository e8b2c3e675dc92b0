"""Tensors in `.npy` files."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["read_npy"]

_NPY, _ZIP = b"\x93NUMPY", b"PK\x03\x04"  # how a .npy file begins, and a .npz


def read_npy(path: Path) -> NDArray[Any]:
    """Raises ValueError for what is no .npy file of plain values, OSError where it cannot be read."""
    with path.open("rb") as file:
        if not file.read(len(_NPY)).startswith((_NPY, _ZIP)):
            raise ValueError("is not a .npy file; save the array with numpy.save")
    array = np.load(path, allow_pickle=False)
    if not isinstance(array, np.ndarray):
        raise ValueError("holds several arrays (.npz); save one with numpy.save")  # noqa: TRY004 (a bad file)
    return array
