"""Virtual environments made on the spot, for checks that must not see the developer's one."""

import subprocess
import sys
from pathlib import Path

__all__ = ["ROOT", "fresh_environment", "run"]

ROOT = Path(__file__).resolve().parents[1]


def fresh_environment(name: str, *requirements: str) -> Path:
    """The interpreter of `.venv-NAME`, made new, with what `pip install` makes of `requirements`."""
    folder = ROOT / f".venv-{name}"
    run(sys.executable, ROOT / "scripts" / "make_venv.py", folder, "--clear")
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *requirements)
    return python


def run(*command: str | Path) -> None:
    """Runs a command in the root of the repository; ends this process if it fails."""
    status = subprocess.run(command, cwd=ROOT, check=False).returncode
    if status != 0:
        sys.exit(f"{' '.join(map(str, command))}\nended with status {status}")
