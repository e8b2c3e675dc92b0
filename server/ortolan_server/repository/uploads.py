"""Model files that clients send with a load, in a private folder of this process for as long as they are served."""

import shutil
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from ortolan_server.errors import InvalidRequest, Overloaded, ServerStopping
from ortolan_server.repository.entry import CONFIG_FILE, TRITON_FILE, ModelEntry, read_model_folder
from ortolan_server.repository.given import Given
from ortolan_server.repository.paths import path_fault

__all__ = ["Upload", "Uploads", "check_paths"]

_NAME_BYTES = 255  # what file systems take
_DEPTH = 8
_FILES = 4096  # empty ones have no size that a limit could count, and each is an inode
_SHOWN_CHARACTERS = 200


class Upload:
    """The files of one load, below `folder`, which is theirs alone."""

    def __init__(self, folder: Path, size_bytes: int, owner: "Uploads") -> None:
        self.folder = folder
        self.size_bytes = size_bytes
        self._owner = owner

    def entry(self, name: str, given: Given) -> ModelEntry:
        """The model that they are. Nothing of a repository is looked at."""
        entry = read_model_folder(self.folder, name, given=given)
        return replace(entry, error=entry.error and entry.error.replace(str(self.folder), "files of the request"))

    def remove(self) -> None:
        """When no version is served of them any more."""
        self._owner.remove(self)


class Uploads:
    """All that are kept. The folder is made with the first, and is of this user alone.

    What a killed server left behind stays behind: a new one never looks there.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._held_bytes = 0
        self._root: Path | None = None
        self._closed = False
        self._lock = threading.Lock()

    def keep(self, files: Mapping[str, bytes]) -> Upload:
        """Writes the files, all or none.

        Raises InvalidRequest for a path that is none, Overloaded when they are too large, beside those that are kept,
        for the limit or for the disk, and ServerStopping.
        """
        check_paths(list(files))
        size_bytes = sum(map(len, files.values()))
        self._take(size_bytes)
        try:
            upload = Upload(self._new_folder(), size_bytes, self)
        except OSError as error:
            self._give_back(size_bytes)
            raise Overloaded(f"the files of the request cannot be kept: {error.strerror}") from error
        try:
            for path, content in files.items():
                target = upload.folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
        except OSError as error:
            upload.remove()
            raise Overloaded(f"the files of the request cannot be kept: {error.strerror}") from error
        return upload

    def remove(self, upload: Upload) -> None:
        shutil.rmtree(upload.folder, ignore_errors=True)
        self._give_back(upload.size_bytes)

    def close(self) -> None:
        """Removes all of them, for good."""
        with self._lock:
            self._closed = True
            root, self._root = self._root, None
        if root is not None:
            shutil.rmtree(root, ignore_errors=True)

    def _new_folder(self) -> Path:
        with self._lock:
            if self._closed:
                raise ServerStopping("the server stops, and keeps no more files")
            if self._root is None:
                self._root = Path(tempfile.mkdtemp(prefix="ortolan-uploads-"))
            return Path(tempfile.mkdtemp(dir=self._root))

    def _take(self, size_bytes: int) -> None:
        with self._lock:
            if self._held_bytes + size_bytes > self._limit_bytes:
                raise Overloaded(
                    f"{size_bytes} bytes of files, beside {self._held_bytes} of other loads, are more than the "
                    f"{self._limit_bytes} that this server keeps (ortolan serve --max-load-size)"
                )
            self._held_bytes += size_bytes

    def _give_back(self, size_bytes: int) -> None:
        with self._lock:
            self._held_bytes -= size_bytes


def check_paths(paths: list[str]) -> None:
    """Raises InvalidRequest, naming the path, unless each is of a file in a model's folder, and they fit together."""
    if len(paths) > _FILES:
        raise InvalidRequest(f"the request has {len(paths)} files; at most {_FILES} are taken")
    for path in paths:
        if fault := path_fault(path) or _fault_of_form(path):
            raise InvalidRequest(f"file {path[:_SHOWN_CHARACTERS]!r}: {fault}")
    folders = {str(folder) for path in paths for folder in PurePosixPath(path).parents}
    if both := sorted(folders.intersection(paths)):
        raise InvalidRequest(f"file {both[0][:_SHOWN_CHARACTERS]!r}: is the folder of another file too")


def _fault_of_form(path: str) -> str | None:
    """Of one that stays in the model's folder."""
    parts = path.split("/")
    if "\\" in path:
        return "has a backslash; folders are separated by /"
    if not {"", "."}.isdisjoint(parts):
        return "is not in its shortest form, such as 1/model.onnx"
    if any(part.startswith(".") for part in parts):
        return "has a name that begins with a dot: such files are skipped everywhere"
    if len(parts) > _DEPTH or any(len(part.encode()) > _NAME_BYTES for part in parts):
        return f"is too long: at most {_DEPTH} names of {_NAME_BYTES} bytes"
    if path in (CONFIG_FILE, TRITON_FILE):
        return "is not taken as a file: the configuration is the parameter config"
    return None
