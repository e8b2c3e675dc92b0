"""What the servers run on: C++ programs built on the spot, and a virtual environment for each peer."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["ROOT", "MissingTool", "NotHere", "built", "environment", "tool"]

ROOT = Path(__file__).resolve().parents[1]
_BUILD = ROOT / "build" / "benchmarks"
_PACKAGES = "apt-get install cmake g++ pkg-config libgrpc++-dev libnghttp2-dev nghttp2-client"


class NotHere(Exception):
    """Something cannot be installed, built or found on this machine; the text says why."""


class MissingTool(NotHere):
    """A program that the system's packages have is not installed."""


def built(program: str) -> Path:
    """The C++ program `load` or `echo`, built anew when its source has changed. Raises NotHere."""
    cmake = tool("cmake")
    _run(cmake, "-S", ROOT / "benchmarks" / "cpp", "-B", _BUILD)
    _run(cmake, "--build", _BUILD, "--target", program)
    return _BUILD / program


def environment(name: str, requirements: Sequence[str]) -> Path:
    """The interpreter of `.venv-bench-NAME`, which has `requirements` and nothing of ours. Raises NotHere.

    Made when it is missing, or was made with other requirements.
    """
    folder = ROOT / f".venv-bench-{name}"
    python, stamp = folder / "bin" / "python", folder / "made-from"
    wanted = "\n".join(requirements)
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"installing {' '.join(requirements)} into {folder.name} (once)", file=sys.stderr, flush=True)
    _run(sys.executable, "-m", "venv", "--clear", folder)
    _run(python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *requirements)
    stamp.write_text(wanted)
    return python


def tool(name: str) -> str:
    """The path of a program. Raises MissingTool."""
    path = shutil.which(name)
    if path is None:
        raise MissingTool(f"no {name} here; on Debian: {_PACKAGES}")
    return path


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    if done.returncode:
        errors = [line for line in (done.stdout + done.stderr).splitlines() if "error" in line.lower()]
        raise NotHere(f"{Path(command[0]).name} failed: {' | '.join(errors[-2:]) or f'status {done.returncode}'}")
