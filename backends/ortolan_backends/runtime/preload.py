"""CUDA libraries from pip packages."""

import io
from contextlib import redirect_stdout
from functools import cache

__all__ = ["preload_cuda"]


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
