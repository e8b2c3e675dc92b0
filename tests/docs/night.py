"""What docs/grpcurl.md begins with: a checkout with its example models prepared."""

import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["PAGE", "PROGRAMS", "prepare"]

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "grpcurl.md"
PROGRAMS = ("grpcurl", "openssl")
"""What its commands need, beside what the tests are installed with."""
BUILD = "import pathlib, sys, recipes; recipes.build('digits', pathlib.Path(sys.argv[1]))"


def prepare(folder: Path) -> None:
    """Makes `folder` such a checkout, as far as the page needs it: nothing is downloaded."""
    model = folder / "examples" / "models" / "digits"
    subprocess.run([sys.executable, "-c", BUILD, str(model / "1" / "model.onnx")], cwd=ROOT / "examples", check=True)
    shutil.copy(ROOT / "examples" / "contracts" / "digits.toml", model / "model.toml")
    shutil.copytree(ROOT / "examples" / "requests", folder / "examples" / "requests")
