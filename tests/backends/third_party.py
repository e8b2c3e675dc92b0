"""Installs a third party's package into a folder, without a network or a build backend."""

import os
import shutil
import tomllib
from pathlib import Path

ECHO = Path(__file__).parents[1] / "third_party" / "ortolan-backend-echo"


def install(source: Path, target: Path, *libraries: Path) -> dict[str, str]:
    """Puts the modules and the metadata of the project in `source` into `target`, as `pip install --target` does.

    With them go `libraries`, as those of a wheel that was built on this system. Returns an environment in which a
    Python process finds the package.
    """
    project = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    files = [*source.glob("*.py"), *libraries]
    for file in files:
        shutil.copy(file, target)
    info = target / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    metadata = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(metadata, encoding="utf-8")
    (info / "RECORD").write_text("".join(f"{file.name},,\n" for file in files), encoding="utf-8")
    lines = [
        line
        for group, entries in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in entries.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    path = os.pathsep.join(filter(None, [str(target), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path}
