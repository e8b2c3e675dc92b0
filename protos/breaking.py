"""Holds the .proto files against those of the last release: `python protos/breaking.py [--release]`.

Exit 1 if a change would break who uses the last release: `buf breaking`, with the rules of `buf.yaml`. What was
released is kept as descriptors, `released/VERSION.binpb`; `--release` writes them, once for each version, as a step of
making it.

It cannot pass for want of something to compare with: the newest release in CHANGELOG.md must have its descriptors.
Where git knows that release's tag, the .proto files of the tag are compared with as well.
"""

import argparse
import io
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PROTOS = Path(__file__).resolve().parent
ROOT = PROTOS.parent
BUF = Path(sys.executable).with_name("buf")
RELEASE = re.compile(r"^## \[(\d+\.\d+\.\d+)\]", re.MULTILINE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", action="store_true", help="keep the descriptors of the newest release")
    released = parser.parse_args().release
    version = newest_release((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    descriptors = PROTOS / "released" / f"{version}.binpb"
    if released:
        keep(descriptors)
    elif not descriptors.exists():
        sys.exit(
            f"{version} is released and has no {descriptors.relative_to(ROOT)}: `python protos/breaking.py --release`"
        )
    else:
        compare(descriptors, f"v{version}")


def newest_release(changelog: str) -> str:
    """The version of the topmost section that has one."""
    found = RELEASE.search(changelog)
    if found is None:
        sys.exit("CHANGELOG.md names no release")
    return found[1]


def keep(descriptors: Path) -> None:
    """Writes the descriptors of the .proto files as they are. What was released once does not change."""
    if descriptors.exists():
        sys.exit(f"{descriptors.relative_to(ROOT)} is there already: a release is kept once")
    descriptors.parent.mkdir(exist_ok=True)
    buf("build", PROTOS, "--exclude-source-info", "--output", descriptors)


def compare(descriptors: Path, tag: str) -> None:
    buf("breaking", PROTOS, "--against", descriptors)
    archive = tagged(tag)
    if archive is None:
        return
    with tempfile.TemporaryDirectory() as folder, tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
        buf("breaking", PROTOS, "--against", Path(folder) / PROTOS.name)


def tagged(tag: str) -> bytes | None:
    """The folder of the .proto files at a tag, as a tar archive; None where git does not know the tag."""
    command = ["git", "-C", str(ROOT), "archive", f"refs/tags/{tag}", PROTOS.name]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None


def buf(*arguments: str | Path) -> None:
    """Runs it; ends this process if it fails. What it finds it prints."""
    status = subprocess.run([BUF, *arguments], check=False).returncode
    if status != 0:
        sys.exit(f"buf {arguments[0]} ended with status {status}")


if __name__ == "__main__":
    main()
