"""Shared libraries: which ones a library needs, and which of them cannot be opened here.

ONNX Runtime's own error names only the first library that is missing.
`python -m ortolan_backends.runtime.libraries NAMES_JSON` is the subprocess that opens them.
"""

import ctypes
import mmap
import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ortolan_backends.runtime.child import ask, respond
from ortolan_backends.runtime.preload import packaged_cuda_libraries, preload_cuda, preload_tensorrt

__all__ = ["LibraryFinding", "NotElfError", "look_for", "needed_libraries", "pip_requirement"]

_TIMEOUT_S = 120.0  # cold, the CUDA libraries are two gigabytes to map

_PT_LOAD, _PT_DYNAMIC = 1, 2
_DT_NULL, _DT_NEEDED, _DT_STRTAB = 0, 1, 5
_CLASS_64 = 2
_BIG_ENDIAN = 2

# Packages of CUDA 13 and later; those of CUDA 12 end in "-cu12". cuDNN's name has the suffix in both.
_PACKAGES = {
    "libcublas": "nvidia-cublas",
    "libcublasLt": "nvidia-cublas",
    "libcudart": "nvidia-cuda-runtime",
    "libcudnn": "nvidia-cudnn-cu{cuda}",
    "libcufft": "nvidia-cufft",
    "libcurand": "nvidia-curand",
    "libnvJitLink": "nvidia-nvjitlink",
    "libnvrtc": "nvidia-cuda-nvrtc",
}
_CUDA_12 = 12


class NotElfError(ValueError):
    """The file is no ELF shared library."""


@dataclass(frozen=True, slots=True)
class LibraryFinding:
    """What came of opening one library."""

    name: str
    path: str
    """Where it was found; empty when not known."""
    error: str
    """The dynamic linker's text; empty when it opened."""


def needed_libraries(path: Path) -> tuple[str, ...]:
    """The `DT_NEEDED` entries of an ELF file, in its order, read without loading it.

    Raises OSError, and NotElfError for anything else than a whole ELF file.
    """
    with path.open("rb") as file:
        if file.read(4) != b"\x7fELF":
            raise NotElfError(f"{path} is no ELF file")
        # Mapped: a provider library has hundreds of megabytes, of which this touches a few pages.
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                return _needed(data)
            except (struct.error, ValueError, IndexError, StopIteration) as error:
                raise NotElfError(f"{path} is damaged: {error}") from error


def _needed(data: mmap.mmap) -> tuple[str, ...]:
    wide = data[4] == _CLASS_64
    order = ">" if data[5] == _BIG_ENDIAN else "<"
    segments = _segments(data, order, wide=wide)
    dynamic = next((segment for segment in segments if segment[0] == _PT_DYNAMIC), None)
    if dynamic is None:
        return ()
    entry = struct.Struct(order + ("qQ" if wide else "iI"))
    _, start, _, size = dynamic
    names: list[int] = []
    table_address = 0
    for tag, value in entry.iter_unpack(data[start : start + size // entry.size * entry.size]):
        if tag == _DT_NULL:
            break
        if tag == _DT_NEEDED:
            names.append(value)
        elif tag == _DT_STRTAB:
            table_address = value
    table = next(
        offset + table_address - address
        for kind, offset, address, length in segments
        if kind == _PT_LOAD and address <= table_address < address + length
    )
    return tuple(_string(data, table + name) for name in names)


def _string(data: mmap.mmap, start: int) -> str:
    end = data.find(b"\0", start)
    if end < 0:
        raise ValueError("a name has no end")
    return data[start:end].decode()


def _segments(data: mmap.mmap, order: str, *, wide: bool) -> list[tuple[int, int, int, int]]:
    """Kind, offset in the file, address in memory, length in the file: of every program header."""
    table_at, size_at = (0x20, 0x36) if wide else (0x1C, 0x2A)
    (table,) = struct.unpack_from(order + ("Q" if wide else "I"), data, table_at)
    size, count = struct.unpack_from(order + "HH", data, size_at)
    headers = [data[table + index * size : table + (index + 1) * size] for index in range(count)]
    if wide:
        unpacked = [struct.unpack_from(order + "IIQQQQ", header) for header in headers]
        return [(kind, offset, address, length) for kind, _, offset, address, _, length in unpacked]
    unpacked = [struct.unpack_from(order + "IIIII", header) for header in headers]
    return [(kind, offset, address, length) for kind, offset, address, _, length in unpacked]


def look_for(names: Iterable[str]) -> tuple[LibraryFinding, ...]:
    """Opens each library in a subprocess, after those of the `nvidia-*` packages; all are tried."""
    wanted = list(names)
    answer = ask("ortolan_backends.runtime.libraries", wanted, timeout_s=_TIMEOUT_S)
    if answer.value is None:
        return tuple(LibraryFinding(name, "", f"opening the libraries {answer.ending}") for name in wanted)
    return tuple(LibraryFinding(name, *answer.value[name]) for name in wanted)


def pip_requirement(library: str, cuda_major: int) -> str:
    """The package that has `library`, e.g. `nvidia-cublas==13.*`; empty when none is known."""
    match = re.fullmatch(r"(lib\w+)\.so(?:\.(\d+))?.*", library)
    package = _PACKAGES.get(match[1]) if match else None
    if match is None or package is None:
        return ""
    if cuda_major <= _CUDA_12 and "{" not in package:
        package += "-cu{cuda}"
    # A library's version is its package's, apart from those of CUDA 12.
    version = f"=={match[2]}.*" if match[2] and cuda_major > _CUDA_12 else ""
    return package.format(cuda=cuda_major) + version


def _open_all(names: list[str]) -> Mapping[str, Any]:
    """The child's side: path and error by name."""
    preload_cuda()
    if any(name.startswith("libnvinfer") for name in names):
        preload_tensorrt()
    return {name: _open(name) for name in names}


def _open(name: str) -> tuple[str, str]:
    try:
        ctypes.CDLL(name)
    except OSError as error:
        return "", _reason(name) or str(error)
    return _path_of(name), ""


def _reason(name: str) -> str:
    """Why pip's library of that name does not open: the linker finds it by name only when it was loaded before."""
    for file in packaged_cuda_libraries(name):
        try:
            ctypes.CDLL(str(file))
        except OSError as error:
            return str(error)
    return ""


def _path_of(name: str) -> str:
    """Where the linker found it, read from the memory map."""
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    # A mapped file's name may go on after the soname: libcublas.so.13.1.0.3.
    paths = (line.split(maxsplit=5)[5] for line in lines if line.count("/"))
    return next((path for path in paths if Path(path).name.startswith(name)), "")


if __name__ == "__main__":
    respond(_open_all)
