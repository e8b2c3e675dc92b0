"""From the blocks of a file to the model's inputs, and from its answers back to the rows they belong to."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ortolan_client import BulkChunk, TensorSpec
from ortolan_server.commands._batch.answers import answer_column
from ortolan_server.commands._batch.columns import ColumnRows, read_column
from ortolan_server.commands._batch.parts import BadRow
from ortolan_server.commands._batch.plan import Plan, one_number

__all__ = ["Answered", "Feed"]

Tensors = Mapping[str, NDArray[Any]]


@dataclass(slots=True)
class _Block:
    """Rows of the file that are on their way. `positions` are those that were sent."""

    start: int
    rows: int
    positions: NDArray[np.int64]
    kept: pa.RecordBatch
    answered: int = 0


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of all rows of the file up to `stop`, from where the one before ended; `batch` None: no answers."""

    stop: int
    batch: pa.RecordBatch | None
    bad: list[BadRow]


class Feed:
    """Gives tensors out and takes their answers in, in the same order."""

    def __init__(
        self,
        blocks: Iterable[pa.RecordBatch],
        start: int,
        plan: Plan,
        inputs: Mapping[str, TensorSpec],
        outputs: Mapping[str, TensorSpec],
    ) -> None:
        """`start`: the row that `blocks` begin with."""
        self.rows_read = start
        self._blocks = blocks
        self._plan = plan
        self._inputs = inputs
        self._outputs = outputs
        self._under_way: deque[_Block] = deque()
        self._bad: deque[BadRow] = deque()

    def tensors(self) -> Iterator[Tensors]:
        """The inputs of rows that have the same shapes, for `Client.map_blocks`."""
        for block in self._blocks:
            read = {name: self._read(name, block) for name in self._plan.inputs}
            positions = _common(read.values())
            bad: dict[int, str] = {}
            for rows in read.values():
                bad = {**rows.bad, **bad}
            self._bad.extend(BadRow(self.rows_read + row, bad[row]) for row in sorted(bad))
            kept = block.select(list(self._plan.keep)).rename_columns(list(self._plan.keep.values()))
            self._under_way.append(_Block(self.rows_read, block.num_rows, positions, kept))
            self.rows_read += block.num_rows
            if len(positions):
                yield from _alike({name: _only(rows, positions) for name, rows in read.items()})

    def _read(self, name: str, block: pa.RecordBatch) -> ColumnRows:
        columns, spec = self._plan.inputs[name], self._inputs[name]
        if len(columns) == 1:
            return read_column(columns[0], block.column(columns[0]), spec)
        parts = [read_column(column, block.column(column), one_number(spec)) for column in columns]
        positions = _common(parts)
        values = np.concatenate([_only(part, positions).values for part in parts], axis=1)
        bad = {row: why for part in reversed(parts) for row, why in part.bad.items()}
        return ColumnRows(values, None, positions, bad)

    def answered(self, chunk: BulkChunk) -> Answered:
        """The next rows that were given out have these answers."""
        block = self._under_way[0]
        while block.answered == len(block.positions):
            self._under_way.popleft()
            block = self._under_way[0]
        positions = block.positions[block.answered : block.answered + chunk.rows]
        block.answered += chunk.rows
        finished = block.answered == len(block.positions)
        stop = block.start + (block.rows if finished else int(positions[-1]) + 1)
        bad = self._bad_before(stop)
        if chunk.error is not None:
            bad += [BadRow(block.start + row, chunk.error.message) for row in positions.tolist()]
            return Answered(stop, None, bad)
        first, last = int(positions[0]), int(positions[-1])
        if last - first + 1 == len(positions):
            kept = block.kept.slice(first, len(positions))
        else:
            kept = block.kept.take(pa.array(positions))
        columns = dict(zip(kept.schema.names, kept.columns, strict=True))
        for output, column in self._plan.outputs.items():
            columns[column] = answer_column(chunk.outputs[output], self._outputs.get(output))
        return Answered(stop, pa.record_batch(columns), bad)

    def rest(self) -> Answered:
        """What follows the last answer, once all are there: rows that were not sent."""
        return Answered(self.rows_read, None, self._bad_before(self.rows_read))

    def declared_schema(self, schema: pa.Schema) -> pa.Schema:
        """Of the output, as the model declares it and the input file has it: for a job without any answer."""
        columns = {name: schema.field(column).type for column, name in self._plan.keep.items()}
        for output, name in self._plan.outputs.items():
            spec = self._outputs[output]
            none = np.empty((0, *(max(size, 0) for size in spec.shape[1:])), spec.dtype)
            columns[name] = answer_column(none, spec).type
        return pa.schema(list(columns.items()))

    def _bad_before(self, stop: int) -> list[BadRow]:
        bad = []
        while self._bad and self._bad[0].row < stop:
            bad.append(self._bad.popleft())
        return bad


def _common(columns: Iterable[ColumnRows]) -> NDArray[np.int64]:
    """The rows that every column has."""
    first, *others = (column.positions for column in columns)
    for other in others:
        if len(first) != len(other) or not np.array_equal(first, other):
            first = np.intersect1d(first, other, assume_unique=True)
    return first


def _only(column: ColumnRows, positions: NDArray[np.int64]) -> ColumnRows:
    """The column without the rows that another one lacks."""
    if len(positions) == len(column.positions):
        return column
    keep = np.isin(column.positions, positions)
    if column.lengths is None:
        return ColumnRows(column.values[keep], None, positions, column.bad)
    return ColumnRows(column.values[np.repeat(keep, column.lengths)], column.lengths[keep], positions, column.bad)


def _alike(columns: Mapping[str, ColumnRows]) -> Iterator[Tensors]:
    """Rows that follow each other and have the same shapes, as arrays."""
    lengths = {name: column.lengths for name, column in columns.items() if column.lengths is not None}
    if not lengths:
        yield {name: column.values for name, column in columns.items()}
        return
    table = np.stack(list(lengths.values()), axis=1)
    changes = np.flatnonzero((table[1:] != table[:-1]).any(axis=1)) + 1
    bounds = [0, *changes.tolist(), len(table)]
    offsets = {name: np.concatenate([[0], np.cumsum(sizes)]) for name, sizes in lengths.items()}
    for first, last in pairwise(bounds):
        yield {
            name: column.values[first:last]
            if name not in offsets
            else column.values[offsets[name][first] : offsets[name][last]].reshape(last - first, -1)
            for name, column in columns.items()
        }
