"""Makes a virtual environment with a pip that knows dependency groups: `python make_venv.py FOLDER [--clear]`.

Written for any Python since 3.6, to be able to say that this one is too old. An environment that is already there is
mended, not emptied, unless `--clear` is given.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

OLDEST = (3, 11)
PIP = "pip>=25.1"  # the first with `--group`
ANOTHER = "or name another Python: make PYTHON=/path/to/python3.12 …"


def main() -> None:
    require_python()
    folder = Path(sys.argv[1])
    clear = "--clear" in sys.argv[2:]
    if clear or not (folder / "bin" / "python").exists():
        print(f"making {folder} with Python {sys.version_info[0]}.{sys.version_info[1]}", flush=True)
    create(folder, clear=clear)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", PIP]
    if subprocess.call(pip) != 0:
        sys.exit(f"cannot install {PIP} into {folder}: is the package index reachable? (`pip config list`)")


def require_python() -> None:
    version = sys.version_info[:2]
    if version < OLDEST:
        sys.exit(
            f"Ortolan needs Python {OLDEST[0]}.{OLDEST[1]} or newer, and {sys.executable} is {version[0]}.{version[1]}:"
            f" install one, {ANOTHER}"
        )
    if importlib.util.find_spec("ensurepip") is None:
        sys.exit(
            f"{sys.executable} cannot make virtual environments, its module `ensurepip` is missing: on Debian and"
            f" Ubuntu `apt-get install python3-venv`, {ANOTHER}"
        )


def create(folder: Path, *, clear: bool) -> None:
    import venv  # noqa: PLC0415 - may fail where ensurepip is missing, which is told apart above

    venv.EnvBuilder(clear=clear, with_pip=True).create(folder)


if __name__ == "__main__":
    main()
