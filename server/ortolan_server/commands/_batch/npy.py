"""Rows of `.npy` files, and of those in a `.npz`, a block at a time."""

import io
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["NpyRows", "npy_header", "open_npy", "open_npz"]

_VERSIONS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class NpyRows:
    """One array of a file, read row by row from where the file stands."""

    def __init__(self, file: IO[bytes]) -> None:
        """Raises ValueError for what is no such file, or none whose rows stand one after the other."""
        read_header = _VERSIONS.get(np.lib.format.read_magic(file))
        if read_header is None:
            raise ValueError("is a .npy file of a version that is not known here")
        self.shape, column_major, self.dtype = read_header(file)
        if not self.shape or (column_major and len(self.shape) > 1):
            raise ValueError(f"holds an array {list(self.shape)} whose rows do not stand one after the other")
        if self.dtype.hasobject:
            raise ValueError("holds Python objects, which are not read; numpy's text types are")
        self._file = file
        self.row_bytes = max(1, math.prod(self.shape[1:]) * self.dtype.itemsize)

    def close(self) -> None:
        self._file.close()

    def skip(self, rows: int) -> None:
        self._file.seek(rows * self.row_bytes, 1)

    def empty(self) -> NDArray[Any]:
        """No rows of it."""
        return np.empty((0, *self.shape[1:]), self.dtype)

    def read(self, rows: int) -> NDArray[Any]:
        """Raises ValueError where the file ends before them."""
        shape = (rows, *self.shape[1:])
        data = self._file.read(math.prod(shape) * self.dtype.itemsize)
        if len(data) != math.prod(shape) * self.dtype.itemsize:
            raise ValueError("ends before its last row")
        return np.frombuffer(data, self.dtype).reshape(shape)


def open_npy(path: Path) -> NpyRows:
    """Raises ValueError as `NpyRows`."""
    file = path.open("rb")
    try:
        return NpyRows(file)
    except ValueError:
        file.close()
        raise


def open_npz(path: Path) -> Mapping[str, NpyRows]:
    """By name. Raises ValueError for what is none, or has what is no array of rows."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {name.removesuffix(".npy"): NpyRows(archive.open(name)) for name in archive.namelist()}
    except zipfile.BadZipFile as error:
        raise ValueError("is not a .npz file; save arrays with numpy.savez") from error


def npy_header(shape: tuple[int, ...], dtype: "np.dtype[Any]") -> bytes:
    """What stands before the elements."""
    file = io.BytesIO()
    written = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, written)
    return file.getvalue()
