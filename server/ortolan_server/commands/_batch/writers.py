"""Output files out of record batches."""

import json
import math
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from ortolan_server.commands._batch.formats import BatchFailed, Format
from ortolan_server.commands._batch.npy import npy_header
from ortolan_server.commands._tensor_files import text_values

__all__ = ["Writer", "open_writer", "write_arrays"]

_GROUP_BYTES = 32 * 2**20


class Writer(Protocol):
    """Takes batches of one schema."""

    def write(self, batch: pa.RecordBatch) -> None: ...

    def close(self) -> None: ...


def open_writer(kind: Format, file: IO[bytes], schema: pa.Schema, *, streaming: bool) -> Writer:
    """`streaming`: for somebody who reads while it is written."""
    match kind:
        case Format.PARQUET:
            return _Parquet(file, schema)
        case Format.ARROW:
            return _Arrow(pa.ipc.new_stream(file, schema) if streaming else pa.ipc.new_file(file, schema))
        case Format.CSV:
            return _Csv(file, schema)
        case Format.JSONL:
            return _Jsonl(file)
        case _:
            raise BatchFailed(f"{kind} is not written row by row")


class _Parquet:
    """Small batches are gathered: each write makes a row group."""

    def __init__(self, file: IO[bytes], schema: pa.Schema) -> None:
        self._writer = pyarrow.parquet.ParquetWriter(file, schema)
        self._gathered: list[pa.RecordBatch] = []
        self._bytes = 0

    def write(self, batch: pa.RecordBatch) -> None:
        self._gathered.append(batch)
        self._bytes += batch.nbytes
        if self._bytes >= _GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._gathered:
            self._writer.write_table(pa.Table.from_batches(self._gathered))
        self._gathered.clear()
        self._bytes = 0

    def close(self) -> None:
        self._flush()
        self._writer.close()


class _Arrow:
    def __init__(self, writer: Any) -> None:  # noqa: ANN401 (pyarrow has no types)
        self._writer = writer

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(batch)

    def close(self) -> None:
        self._writer.close()


class _Csv:
    """A cell holds no list: one of a fixed size becomes a column for each place, another one JSON."""

    def __init__(self, file: IO[bytes], schema: pa.Schema) -> None:
        empty = pa.RecordBatch.from_pylist([], schema)
        self._writer = pyarrow.csv.CSVWriter(file, _cells(empty).schema)

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(_cells(batch))

    def close(self) -> None:
        self._writer.close()


class _Jsonl:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, batch: pa.RecordBatch) -> None:
        for row in batch.to_pylist():
            self._file.write(json.dumps(_json_value(row), ensure_ascii=False).encode() + b"\n")

    def close(self) -> None:
        self._file.flush()


def _cells(batch: pa.RecordBatch) -> pa.RecordBatch:
    named = zip(batch.schema.names, batch.columns, strict=True)
    cells = [cell for name, column in named for cell in _cell(name, column)]
    return pa.record_batch([column for _, column in cells], names=[name for name, _ in cells])


def _cell(name: str, column: pa.Array) -> Iterator[tuple[str, pa.Array]]:
    kind = column.type
    if pa.types.is_fixed_size_list(kind):
        size = kind.list_size
        leaves = column.flatten()
        for place in range(size):
            taken = leaves.take(pa.array(np.arange(place, len(leaves), size)))
            yield from _cell(f"{name}_{place}", taken)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        texts = [None if value is None else json.dumps(_json_value(value)) for value in column.to_pylist()]
        yield name, pa.array(texts, pa.string())
    elif pa.types.is_float16(kind):
        yield name, column.cast(pa.float32())
    elif pa.types.is_dictionary(kind):
        yield name, column.dictionary_decode()
    else:
        yield name, column


def _json_value(value: Any) -> Any:  # noqa: ANN401 (what JSON has)
    """What JSON has no number for is text, as in protobuf's JSON; what JSON does not know at all is text, too."""
    match value:
        case float() if not math.isfinite(value):
            return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
        case dict():
            return {key: _json_value(item) for key, item in value.items()}
        case list():
            return [_json_value(item) for item in value]
        case bytes():
            return value.decode(errors="backslashreplace")
        case None | bool() | int() | float() | str():
            return value
        case _:
            return str(value)


def write_arrays(
    kind: Format,
    file: IO[bytes],
    names: Sequence[str],
    rows: int,
    batches: Callable[[], Iterable[pa.RecordBatch]],
) -> None:
    """`.npy` of the one column, or `.npz` of all. `batches` gives them anew each time: columns are written in turn."""
    if kind is Format.NPY:
        (name,) = names
        _write_column(file, rows, lambda: (batch.column(name) for batch in batches()), name)
        return
    with zipfile.ZipFile(file, "w", allowZip64=True) as archive:
        for name in names:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                _write_column(member, rows, lambda name=name: (b.column(name) for b in batches()), name)  # type: ignore[misc]


def _write_column(file: IO[bytes], rows: int, columns: Callable[[], Iterable[pa.Array]], name: str) -> None:
    shapes_and_types = {(array.shape[1:], array.dtype) for array in (_array(column, name) for column in columns())}
    if len({shape for shape, _ in shapes_and_types}) > 1:
        raise _several_shapes(name)
    shape, dtype = max(shapes_and_types, key=lambda both: both[1].itemsize, default=((), np.dtype(np.float32)))
    file.write(npy_header((rows, *shape), dtype))
    for column in columns():
        file.write(_array(column, name).astype(dtype, copy=False).tobytes())


def _array(column: pa.Array, name: str) -> NDArray[Any]:
    """The rows of a column as one array, which has no nulls. Raises BatchFailed where they are of several lengths."""
    shape = [len(column)]
    while not _is_leaf(column.type):
        kind = column.type
        if pa.types.is_fixed_size_list(kind):
            shape.append(kind.list_size)
        else:
            sizes = set(column.value_lengths().to_pylist()) or {0}
            if len(sizes) > 1:
                raise _several_shapes(name)
            shape.append(sizes.pop())
        column = column.flatten()
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if column.null_count:
        raise BatchFailed(f"column {name!r} has nulls, which .npy cannot hold; parquet, arrow, csv and jsonl can")
    array = column.to_numpy(zero_copy_only=False)
    return (text_values(_bytes(array)) if array.dtype == object else array).reshape(shape)


def _several_shapes(name: str) -> BatchFailed:
    return BatchFailed(
        f"column {name!r} has rows of several shapes, and .npy holds one; parquet, arrow and jsonl do all"
    )


def _bytes(array: NDArray[Any]) -> NDArray[Any]:
    encoded = [value if isinstance(value, bytes) else str(value).encode() for value in array]
    return np.array([*encoded, None], object)[:-1]


def _is_leaf(kind: pa.DataType) -> bool:
    return not (pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind))
