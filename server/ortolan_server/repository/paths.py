"""Paths that somebody else has written: of a model's data, of its samples, of files that are sent."""

from pathlib import PurePosixPath, PureWindowsPath

__all__ = ["path_fault"]


def path_fault(path: str) -> str | None:
    """Why it names no place below the model's folder, whatever lies there; None: it does.

    The rules of both systems hold on either: a backslash must not turn into a way out.
    """
    both = (PurePosixPath(path), PureWindowsPath(path))
    if not path or not path.isprintable():
        return "is no path"
    if any(each.anchor for each in both):
        return "is an absolute path; it must be relative to the model's folder"
    if any(".." in each.parts for each in both):
        return "has '..'; it must stay in the model's folder"
    return None
