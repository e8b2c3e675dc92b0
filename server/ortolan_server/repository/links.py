"""Keeps what is served inside the path that is served, wherever links lead."""

from pathlib import Path

__all__ = ["link_fault"]


def link_fault(path: Path, root: Path) -> str | None:
    """Why a file or folder of a repository is not read; None: it is.

    With all links followed it must lie in `root`, which is the served path, resolved: who may put files into a
    repository cannot have the server read others by a link. The operator's own word stands: the served path may be a
    link itself. Mounts of Kubernetes, whose links lead through `..data` to a folder beside it, are inside.

    A hard link cannot be told from the file it was made of, and is taken: of a file that is no model, nothing is shown.
    The data of models is another matter: `external_data.py`.
    """
    try:
        target = path.resolve()
    except (OSError, RuntimeError):  # A loop of links: reading says so. RuntimeError: before Python 3.13.
        return None
    if target.is_relative_to(root):
        return None
    return f"{path}: is a link that leaves the served path; copy or mount there what it leads to"
