"""Builds the faulty provider with the C compiler of this system, and installs its package.

What its making taught about ONNX Runtime's plugins, 1.31 and 1.32:

- Options come as session options, `ep.<provider in small letters>.<option>`, and only while a provider is made: the
  session options are gone after that.
- A fused node has each input once: of `x + x` it has one. A kernel finds its inputs by their names.
- Constant initializers are inputs of a fused node too, unless it is said that they need not be.
- What providers are shown is optimized already: MatMul and Add have become Gemm, and Identity is gone.
- A status keeps its code on the way up, behind "Non-zero status code returned while running … node": EP_FAIL raises
  `EPFail`, and INVALID_ARGUMENT `InvalidArgument`. What a refused session raises depends on the version: `Fail` in
  1.32, a plain RuntimeError in 1.31.
- A terminated run is not told to the kernel that is running, and succeeds if no node comes after it.
- A session takes a provider once. Adding it again succeeds and gives the first its options; then the session fails to
  open: "has already been registered".
- The first runs that fail cost some 4 MB once, and later ones nothing.
- A runtime that is too old says so on standard error by itself, when it is asked for a version of its API that it has
  not; version 1 it always has, with which such an error can be made.
"""

import subprocess
import sys
from pathlib import Path

from tests.backends.third_party import install

__all__ = ["build_library", "install_faulty"]

_SOURCE = Path(__file__).with_name("faulty.c")
_PACKAGE = Path(__file__).parents[1] / "third_party" / "ortolan-backend-faulty"
_SUFFIX = "dylib" if sys.platform == "darwin" else "so"


def build_library(compiler: str, folder: Path, *flags: str) -> Path:
    """The provider as a shared library in `folder`."""
    library = folder / f"libonnxruntime_faulty.{_SUFFIX}"
    command = [compiler, "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", *flags, str(_SOURCE), "-lm", "-o", str(library)]
    subprocess.run(command, check=True)
    return library


def install_faulty(compiler: str, folder: Path) -> Path:
    """Puts library and backend into the folder of packages that it returns."""
    packages = folder / "packages"
    packages.mkdir()
    install(_PACKAGE, packages, build_library(compiler, folder))
    return packages
