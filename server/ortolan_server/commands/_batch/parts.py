"""What is done of a job: files beside the output, each with the answers to some rows that follow each other.

A part is named after its rows and is there as a whole or not at all, so what is done is read from the names: the
longest chain of parts from row 0 on. Bad rows stand in a file of the same name, which is written before the part.
"""

import json
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import pyarrow as pa

from ortolan_server.commands._batch.formats import BatchFailed
from ortolan_server.commands._durable import replaced, write_durably

try:
    import fcntl
except ImportError:  # where there is none, nobody keeps two runs of one job apart
    fcntl = None  # type: ignore[assignment]

__all__ = ["BadRow", "Part", "Parts", "read_bad", "read_batches"]

_NAME = re.compile(r"(\d{15})-(\d{15})\.arrow")


@dataclass(frozen=True, slots=True, order=True)
class BadRow:
    """A row of the input, from 0, that has no answer."""

    row: int
    reason: str

    def line(self) -> str:
        return json.dumps({"row": self.row, "reason": self.reason}, ensure_ascii=False) + "\n"


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """Rows `start` to `stop` of the input."""

    start: int
    stop: int
    path: Path

    @property
    def bad_path(self) -> Path:
        return self.path.with_suffix(".bad.jsonl")


class Parts:
    """The parts of one job, in a folder that belongs to one process at a time (a context manager)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: IO[Any] | None = None

    def __enter__(self) -> Self:
        """Raises BatchFailed while another process is at it."""
        self.folder.mkdir(exist_ok=True)
        self._lock = (self.folder / "lock").open("w")
        if fcntl is not None:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                self._lock.close()
                raise BatchFailed(f"another process works in {self.folder}") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._lock is not None:
            self._lock.close()
        if [path.name for path in self.folder.glob("*")] == ["lock"]:
            self.remove()

    def chain(self) -> list[Part]:
        """The parts that follow each other from row 0 on."""
        found: dict[int, Part] = {}
        for path in self.folder.iterdir():
            if name := _NAME.fullmatch(path.name):
                part = Part(int(name[1]), int(name[2]), path)
                found[part.start] = max(part, found.get(part.start, part))
        chain: list[Part] = []
        while (part_here := found.get(chain[-1].stop if chain else 0)) is not None:
            chain.append(part_here)
        return chain

    def commit(self, start: int, stop: int, table: pa.Table, bad: Iterable[BadRow]) -> None:
        """Puts the answers to rows `start` to `stop` among what is done."""
        part = Part(start, stop, self.folder / f"{start:015}-{stop:015}.arrow")
        lines = "".join(row.line() for row in sorted(bad))
        part.bad_path.unlink(missing_ok=True)
        if lines:
            write_durably(part.bad_path, lines.encode())
        with replaced(part.path) as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def clear(self) -> None:
        """Forgets what is done."""
        for path in self.folder.iterdir():
            if path.name != "lock":
                path.unlink()


def read_batches(chain: Iterable[Part]) -> Iterator[pa.RecordBatch]:
    for part in chain:
        with pa.memory_map(str(part.path)) as file:
            reader = pa.ipc.open_file(file)
            for index in range(reader.num_record_batches):
                yield reader.get_batch(index)


def read_bad(chain: Iterable[Part]) -> Iterator[str]:
    for part in chain:
        if part.bad_path.exists():
            with part.bad_path.open(encoding="utf-8") as file:
                yield from file
