"""Input files, a block of rows at a time."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet

from ortolan_server.commands._batch.answers import column_of
from ortolan_server.commands._batch.formats import STDIO, BatchFailed, Format
from ortolan_server.commands._batch.npy import NpyRows, open_npy, open_npz

__all__ = ["Source", "blocks", "open_source"]

_BLOCK_BYTES = 8 * 2**20
_MOST_ROWS = 65_536
_TEXT_BLOCK_BYTES = 4 * 2**20


class Source(Protocol):
    """An input that can be read once, from any row."""

    schema: pa.Schema

    def total(self) -> int | None:
        """Rows, or how many there seem to be; None: nobody knows."""

    def batches(self, start: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """These columns from about row `start`: `skipped` says how many rows come before the first."""

    skipped: int

    def close(self) -> None: ...


def open_source(file: str, kind: Format, types: Mapping[str, pa.DataType]) -> Source:
    """`types` are wanted for some columns of a text format; its first block would decide otherwise."""
    try:
        match kind:
            case Format.PARQUET:
                return _Parquet(Path(file))
            case Format.ARROW:
                return _Arrow(file)
            case Format.CSV | Format.JSONL:
                return _Text(file, kind, types)
            case Format.NPY:
                return _Npy({Path(file).stem: open_npy(Path(file))})
            case Format.NPZ:
                return _Npy(open_npz(Path(file)))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise BatchFailed(f"{file}: {_told(error)}") from error


def blocks(source: Source, file: str, start: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """From row `start` on, each so small that a few of them are no burden. Raises BatchFailed for a broken file."""
    try:
        batches = source.batches(start, columns)
        skip = start
        for batch in batches:
            skip_here = min(batch.num_rows, max(0, skip - source.skipped))
            skip -= skip_here
            rest = batch.select(list(columns)).slice(skip_here)
            row_bytes = max(1, rest.nbytes // max(1, rest.num_rows))
            most = max(1, min(_MOST_ROWS, _BLOCK_BYTES // row_bytes))
            for first in range(0, rest.num_rows, most):
                yield rest.slice(first, most)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise BatchFailed(f"{file}: {_told(error)}") from error


def _told(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).partition("\n")[0]


class _Parquet:
    def __init__(self, path: Path) -> None:
        self._file = pyarrow.parquet.ParquetFile(path)
        self.schema: pa.Schema = self._file.schema_arrow
        self.skipped = 0

    def total(self) -> int | None:
        return int(self._file.metadata.num_rows)

    def close(self) -> None:
        self._file.close()

    def batches(self, start: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        metadata = self._file.metadata
        groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
        first = 0
        while first < len(groups) and self.skipped + groups[first].num_rows <= start:
            self.skipped += groups[first].num_rows
            first += 1
        if first == len(groups):
            return
        row_bytes = max(1, *(group.total_byte_size // max(1, group.num_rows) for group in groups[first:]))
        rows = max(1, min(_MOST_ROWS, _BLOCK_BYTES // row_bytes))
        yield from self._file.iter_batches(rows, row_groups=list(range(first, len(groups))), columns=list(columns))


class _Arrow:
    def __init__(self, file: str) -> None:
        self.skipped = 0
        self._total: int | None = None
        self._memory: pa.MemoryMappedFile | None = None
        self._batches: Iterator[pa.RecordBatch]
        if file == STDIO:
            stream = pa.ipc.open_stream(sys.stdin.buffer)
            self.schema: pa.Schema = stream.schema
            self._batches = iter(stream)
            return
        self._memory = memory = pa.memory_map(file)
        try:
            reader = pa.ipc.open_file(memory)
        except pa.ArrowInvalid:  # not made to be read from anywhere: a stream that was kept
            memory.seek(0)
            stream = pa.ipc.open_stream(memory)
            self.schema, self._batches = stream.schema, iter(stream)
            return
        self.schema = reader.schema
        self._total = sum(reader.get_batch(index).num_rows for index in range(reader.num_record_batches))
        self._batches = (reader.get_batch(index) for index in range(reader.num_record_batches))

    def close(self) -> None:
        if self._memory is not None:
            self._memory.close()

    def total(self) -> int | None:
        return self._total

    def batches(self, _start: int, _columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        return self._batches


class _Text:
    """CSV and JSON lines. How many rows there are is told from the part of the file that was read."""

    def __init__(self, file: str, kind: Format, types: Mapping[str, pa.DataType]) -> None:
        self.skipped = 0
        self._file: IO[bytes] = sys.stdin.buffer if file == STDIO else Path(file).open("rb")  # noqa: SIM115 (open as long as the source is)
        self._size = None if file == STDIO else Path(file).stat().st_size
        self._rows = 0
        if kind is Format.CSV:
            self._reader = pyarrow.csv.open_csv(
                self._file,
                read_options=pyarrow.csv.ReadOptions(block_size=_TEXT_BLOCK_BYTES),
                convert_options=pyarrow.csv.ConvertOptions(column_types=dict(types)),
            )
        else:
            schema = pa.schema(list(types.items())) if types else None
            self._reader = pyarrow.json.open_json(
                self._file,
                read_options=pyarrow.json.ReadOptions(block_size=_TEXT_BLOCK_BYTES),
                parse_options=pyarrow.json.ParseOptions(explicit_schema=schema),
            )
        self.schema: pa.Schema = self._reader.schema

    def close(self) -> None:
        self._reader.close()
        if self._size is not None:
            self._file.close()

    def total(self) -> int | None:
        if not self._size or not self._rows:
            return None
        return max(self._rows, self._rows * self._size // max(1, self._file.tell()))

    def batches(self, _start: int, _columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for batch in self._reader:
            self._rows += batch.num_rows
            yield batch


class _Npy:
    def __init__(self, arrays: Mapping[str, NpyRows]) -> None:
        counts = {array.shape[0] for array in arrays.values()}
        if len(counts) != 1:
            told = ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items())
            raise ValueError(f"its arrays have no first dimension in common: {told or 'there are none'}")
        (self._total,) = counts
        self._arrays = arrays
        self.skipped = 0
        empty = {name: column_of(array.empty()) for name, array in arrays.items()}
        self.schema: pa.Schema = pa.schema([(name, column.type) for name, column in empty.items()])

    def close(self) -> None:
        for array in self._arrays.values():
            array.close()

    def total(self) -> int | None:
        return self._total

    def batches(self, start: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        self.skipped = min(start, self._total)
        arrays: dict[str, Any] = {name: self._arrays[name] for name in columns}
        for array in arrays.values():
            array.skip(self.skipped)
        row_bytes = sum(array.row_bytes for array in arrays.values())
        most = max(1, min(_MOST_ROWS, _BLOCK_BYTES // max(1, row_bytes)))
        for first in range(self.skipped, self._total, most):
            rows = min(most, self._total - first)
            yield pa.record_batch({name: column_of(array.read(rows)) for name, array in arrays.items()})
