"""Installed packages that are nothing but their metadata."""

from pathlib import Path

__all__ = ["publish"]


def publish(folder: Path, name: str, version: str, *files: str, entry_points: str = "") -> None:
    """Makes `folder` hold a distribution with `files`, which are made too, empty.

    Since Python 3.12 a listed file that is not there is no file of its package.
    """
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    if files:
        (info / "RECORD").write_text("".join(f"{file},,\n" for file in files), encoding="utf-8")
    if entry_points:
        (info / "entry_points.txt").write_text(entry_points, encoding="utf-8")
    for file in files:
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).touch()
