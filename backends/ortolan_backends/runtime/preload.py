"""Libraries of CUDA and TensorRT from pip packages."""

import ctypes
import io
from contextlib import redirect_stdout, suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path

__all__ = ["packaged_cuda_libraries", "preload_cuda", "preload_tensorrt", "tensorrt_folder"]

# In the order in which they need each other.
_TENSORRT = ("libnvinfer.so.10", "libnvinfer_plugin.so.10", "libnvonnxparser.so.10")


@cache
def preload_cuda() -> None:
    """Loads the libraries of the `nvidia-*` packages into this process, where the wheel is one for CUDA.

    Without it a provider library finds only what the system's linker finds, and CUDA that came with pip is
    not among it. Libraries that are missing are passed over: opening the session says which.
    """
    from ortolan_backends.runtime.ort import onnxruntime  # noqa: PLC0415 - costs half a second, raises without a wheel

    if getattr(onnxruntime, "cuda_version", ""):
        with redirect_stdout(io.StringIO()):  # it prints what it did not find
            onnxruntime.preload_dlls()


@cache
def preload_tensorrt() -> None:
    """Loads the libraries of the package `tensorrt-cu13` or `tensorrt-cu12` into this process, after those of CUDA.

    As `preload_cuda`: what is missing is passed over.
    """
    preload_cuda()
    folder = tensorrt_folder()
    if folder is None:
        return
    for name in _TENSORRT:
        with suppress(OSError):
            ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL)


def packaged_cuda_libraries(name: str) -> tuple[Path, ...]:
    """The files of that name in the `nvidia-*` packages, whether they open or not."""
    spec = find_spec("nvidia")
    folders = spec.submodule_search_locations if spec else None
    return tuple(file for folder in folders or () for file in Path(folder).glob(f"*/lib/{name}"))


def tensorrt_folder() -> Path | None:
    """Where the package keeps its libraries; None without it."""
    spec = find_spec("tensorrt_libs")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])
