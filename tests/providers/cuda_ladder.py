"""Machines that lack one thing of what CUDA and TensorRT need: real provider libraries, real CUDA libraries, and a
driver made for the test, since there is no GPU.

`python -m tests.providers.cuda_ladder BACKEND` opens a model on it without looking at the machine before, and prints
where ONNX Runtime refused, and with which words.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ortolan_backends.catalog import Catalog
from ortolan_backends.errors import OpenRefused
from ortolan_backends.options import parse_options
from ortolan_backends.runtime.log import RuntimeLog
from ortolan_backends.runtime.model import read_model
from ortolan_backends.runtime.session import OpenRung, open_session
from tests import models
from tests.serving import ENTRY

ROOT = Path(__file__).resolve().parents[2]
CUDA_LIBRARIES = "nvidia/*/lib/*"
"""Where pip puts them, below site-packages."""


@dataclass(frozen=True)
class Machine:
    """An interpreter that finds just some of the libraries, and the environment of its processes."""

    python: Path
    environment: Mapping[str, str]

    def ortolan(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.python), "-c", ENTRY, *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)

    def doctor(self, backend: str) -> dict[str, object]:
        (found,) = json.loads(self.ortolan("doctor", backend, "--json").stdout)["providers"]
        assert isinstance(found, dict)
        return found

    def attempt(self, backend: str) -> tuple[str, str]:
        """Stage and reason of a refused session."""
        command = [str(self.python), "-m", "tests.providers.cuda_ladder", backend]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False, timeout=240
        )
        assert done.returncode == 0, done.stderr
        stage, reason = json.loads(done.stdout)
        return stage, reason


def site_packages(root: Path) -> Path:
    return root / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def machine(folder: Path, *, without: frozenset[str] = frozenset(), libraries: Path | None = None) -> Machine:
    """This environment again, made of links, without some of pip's CUDA libraries; `libraries` are the system's."""
    here, there = site_packages(Path(sys.prefix)), site_packages(folder)
    there.mkdir(parents=True)
    (folder / "bin").mkdir()
    python = folder / "bin" / "python"
    python.symlink_to(Path(sys.executable).resolve())
    (folder / "pyvenv.cfg").write_bytes((Path(sys.prefix) / "pyvenv.cfg").read_bytes())
    for entry in here.iterdir():
        if entry.name != "nvidia":
            (there / entry.name).symlink_to(entry)
    for library in here.glob(CUDA_LIBRARIES):
        if library.name not in without:
            link = there / library.relative_to(here)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(library)
    others = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    return Machine(python, {**others, "LD_LIBRARY_PATH": str(libraries)} if libraries else others)


def main() -> None:
    log = RuntimeLog(lambda _line: None)
    log.start()
    backend = Catalog.from_entry_points().get(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        model = read_model(models.save(models.convolution("Neg"), Path(folder)))
        try:
            open_session(model, [OpenRung(backend, parse_options(backend, {}))], log)
        except OpenRefused as refused:
            print(json.dumps([refused.stage, refused.reason]))
        else:
            print(json.dumps(["", "it opened"]))
    log.stop()


if __name__ == "__main__":
    main()
