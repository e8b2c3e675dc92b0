"""Where answers go: into parts that outlive the process, or straight into a file or a pipe."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Protocol

import pyarrow as pa

from ortolan_server.commands._batch.feed import Answered
from ortolan_server.commands._batch.formats import BatchFailed, Format
from ortolan_server.commands._batch.parts import BadRow, Part, Parts, read_bad, read_batches
from ortolan_server.commands._batch.writers import Writer, open_writer, write_arrays
from ortolan_server.commands._durable import replaced

__all__ = ["DirectSink", "PartsSink", "Sink", "join_parts", "schema_of"]

_PART_BYTES = 32 * 2**20


class Sink(Protocol):
    """Takes what came of the rows, in their order."""

    def add(self, answered: Answered) -> None: ...

    def commit(self) -> None:
        """What was added is safe when this returns."""


class PartsSink:
    """Commits a part when enough time has passed or enough bytes have come."""

    def __init__(
        self,
        parts: Parts,
        start: int,
        schema: pa.Schema | None,
        *,
        commit_every_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`schema`: of the parts that are there; None: there are none."""
        self.schema = schema
        self._parts = parts
        self._start = self._stop = start
        self._commit_every_s = commit_every_s
        self._clock = clock
        self._committed_s = clock()
        self._batches: list[pa.RecordBatch] = []
        self._bad: list[BadRow] = []
        self._bytes = 0

    def add(self, answered: Answered) -> None:
        if answered.batch is not None:
            self.schema = _one_schema(self.schema, answered.batch)
            self._batches.append(answered.batch)
            self._bytes += answered.batch.nbytes
        self._bad += answered.bad
        self._stop = answered.stop
        if self._bytes >= _PART_BYTES or self._clock() - self._committed_s >= self._commit_every_s:
            self.commit()

    def commit(self) -> None:
        if self._stop > self._start:
            table = pa.Table.from_batches(self._batches, self.schema or pa.schema([])).combine_chunks()
            self._parts.commit(self._start, self._stop, table, self._bad)
        self._start = self._stop
        self._batches.clear()
        self._bad.clear()
        self._bytes = 0
        self._committed_s = self._clock()


class DirectSink:
    """Writes as answers come; nothing of it can be gone on with."""

    def __init__(self, kind: Format, file: IO[bytes], bad: IO[bytes], *, streaming: bool) -> None:
        self.bad_rows = 0
        self._kind = kind
        self._file = file
        self._bad = bad
        self._streaming = streaming
        self._schema: pa.Schema | None = None
        self._writer: Writer | None = None

    def add(self, answered: Answered) -> None:
        if answered.batch is not None:
            self._schema = _one_schema(self._schema, answered.batch)
            self._opened(self._schema).write(answered.batch)
        self.bad_rows += len(answered.bad)
        for row in answered.bad:
            self._bad.write(row.line().encode())

    def commit(self) -> None:
        self._file.flush()
        self._bad.flush()

    def close(self, declared: pa.Schema) -> None:
        """After the last row. `declared`: the schema where nothing was answered."""
        self._opened(declared).close()
        self.commit()

    def _opened(self, schema: pa.Schema) -> Writer:
        if self._writer is None:
            self._writer = open_writer(self._kind, self._file, schema, streaming=self._streaming)
        return self._writer


def join_parts(  # noqa: PLR0913 (two files, and what goes into them)
    chain: list[Part], kind: Format, output: Path, bad_rows: Path, *, declared: pa.Schema, folder: Path
) -> int:
    """Writes the output, and the bad rows where there are some; gives how many. Each file is there as a whole.

    `declared`: the schema where nothing was answered.
    """
    bad = 0
    with replaced(bad_rows, folder) as file:
        for line in read_bad(chain):
            file.write(line.encode())
            bad += 1
    if not bad:
        bad_rows.unlink()
    schema = schema_of(chain) or declared
    with replaced(output, folder) as file:
        if kind in (Format.NPY, Format.NPZ):
            rows = (chain[-1].stop if chain else 0) - bad
            write_arrays(kind, file, schema.names, rows, lambda: _answers(chain))
        else:
            writer = open_writer(kind, file, schema, streaming=False)
            for batch in _answers(chain):
                writer.write(batch)
            writer.close()
    return bad


def schema_of(chain: list[Part]) -> pa.Schema | None:
    """Of the answers; None where no part has any."""
    for part in chain:
        with pa.memory_map(str(part.path)) as file:
            schema: pa.Schema = pa.ipc.open_file(file).schema
        if schema.names:
            return schema
    return None


def _answers(chain: list[Part]) -> Iterator[pa.RecordBatch]:
    return (batch for batch in read_batches(chain) if batch.num_rows)


def _one_schema(schema: pa.Schema | None, batch: pa.RecordBatch) -> pa.Schema:
    if schema is None or schema.equals(batch.schema):
        return batch.schema
    for before, now in zip(schema, batch.schema, strict=True):
        if before != now:
            raise BatchFailed(
                f"column {now.name!r} comes as {now.type} now, and came as {before.type} before: "
                "one column cannot hold both"
            )
    return schema
