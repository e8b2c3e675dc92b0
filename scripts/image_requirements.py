"""Writes deploy/requirements/EXTRA.txt: exactly what the image of each extra installs, for the index as it is today.

`python scripts/image_requirements.py` after a change of the requirements in pyproject.toml, or to take newer releases.
Resolved for the Python of the CPU image's base; that of the GPU image's base takes the same releases.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from environments import ROOT

EXTRAS = ("cpu", "gpu", "openvino")
PYTHON = "3.13"
# Those of x86-64 that Debian 13 and Ubuntu 24.04 can run.
PLATFORMS = [
    *(f"manylinux_2_{minor}_x86_64" for minor in range(39, 16, -1)),
    "manylinux2014_x86_64",  # the older name of 2_17
]
HEADER = """\
# What the image installs for ortolan[{extra}]. Made by scripts/image_requirements.py; do not edit.
"""


def main() -> None:
    for extra in EXTRAS:
        path = ROOT / "deploy" / "requirements" / f"{extra}.txt"
        lines = resolved(extra)
        path.write_text(HEADER.format(extra=extra) + "\n".join(lines) + "\n", encoding="utf-8")
        print(f"{path.relative_to(ROOT)}: {len(lines)} packages")


def resolved(extra: str) -> list[str]:
    """`name==version` of everything that ortolan[extra] brings, without ortolan."""
    platforms = [f"--platform={platform}" for platform in PLATFORMS]
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.json"
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--dry-run"]
        wanted = ["--ignore-installed", f"--target={scratch}", f"--python-version={PYTHON}", "--only-binary=:all:"]
        subprocess.run([*command, *wanted, *platforms, f"--report={report}", f"{ROOT}[{extra}]"], check=True)
        installs = json.loads(report.read_text(encoding="utf-8"))["install"]
    packages = {canonical(item["metadata"]["name"]): item["metadata"]["version"] for item in installs}
    return [f"{name}=={version}" for name, version in sorted(packages.items()) if name != "ortolan"]


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main()
