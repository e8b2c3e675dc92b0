"""One model: what is on disk, and what became of it."""

from dataclasses import dataclass, field

from ortolan_server.lifecycle.version import ModelVersion
from ortolan_server.repository import ModelEntry
from ortolan_server.repository.uploads import Upload
from ortolan_server.repository.watching import Snapshot, files_of_version

__all__ = ["Model"]


@dataclass(slots=True)
class Model:
    """A model with its versions. The manager alone changes it."""

    entry: ModelEntry
    expected: bool
    """Does the server's readiness wait for it? One that came later is expected once it has served."""
    versions: dict[int, ModelVersion] = field(default_factory=dict)
    tried: dict[int, Snapshot] = field(default_factory=dict)
    """Version → its files when it was last loaded, or could not be."""
    uploads: list[Upload] = field(default_factory=list)
    """Files that clients sent, of which one of the versions may serve."""

    @property
    def serving(self) -> ModelVersion | None:
        """The version that answers when none is named: the highest that serves."""
        return max((version for version in list(self.versions.values()) if version.serves), key=_number, default=None)

    @property
    def newest(self) -> ModelVersion | None:
        return max(list(self.versions.values()), key=_number, default=None)

    def files_of(self, number: int) -> Snapshot:
        """Those of a version, as the entry has them."""
        return files_of_version(self.entry.files, number)

    def is_due(self, number: int) -> bool:
        """Has a version other files than when it was last tried?"""
        return number not in self.versions or self.tried.get(number) != self.files_of(number)

    def remove_idle_uploads(self) -> None:
        """Those that no version serves of."""
        for upload in list(self.uploads):
            if not any(v.serves and v.path.is_relative_to(upload.folder) for v in self.versions.values()):
                self.uploads.remove(upload)
                upload.remove()


def _number(version: ModelVersion) -> int:
    return version.number
