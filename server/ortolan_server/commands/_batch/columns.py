"""Arrow's columns as the rows of an input: types that fit, and for each value whether it does."""

import math
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ortolan_client import TensorSpec
from ortolan_server.commands._batch.formats import BatchFailed

__all__ = ["ColumnRows", "read_column", "row_shape"]


class ColumnRows(NamedTuple):
    """The rows that a column gives an input.

    `values` is [rows, …]; where rows differ in length it is flat, and `lengths` has each row's. `positions` says which
    rows of the column they are, and `bad` why the others are none.
    """

    values: NDArray[Any]
    lengths: NDArray[np.int64] | None
    positions: NDArray[np.int64]
    bad: dict[int, str]


def row_shape(name: str, kind: pa.DataType, spec: TensorSpec) -> tuple[int, ...] | None:
    """The shape of a row's tensor; None: each row has a length of its own. Raises ValueError for what cannot fit."""
    sizes, leaf = _levels(kind)
    if not _leaf_fits(leaf, spec.datatype):
        raise ValueError(f"column {name!r} is {kind}, and input {spec.name!r} takes {spec}")
    wanted = spec.shape[1:]
    if spec.shape == (-1,) and sizes:  # of any rank
        wanted = sizes
    if not sizes and all(size in (1, -1) for size in wanted):
        return (1,) * len(wanted)
    if sizes and -1 not in sizes[1:]:
        if sizes[0] == -1 and wanted == (-1,):
            return None
        if -1 not in sizes and _fits(sizes, wanted):
            return sizes
        if -1 not in wanted and (sizes[0] == -1 or math.prod(sizes) == math.prod(wanted)):
            return wanted
    raise ValueError(f"column {name!r} is {kind}, and input {spec.name!r} takes {spec}")


def read_column(name: str, column: pa.Array, spec: TensorSpec) -> ColumnRows:
    """Rows that do not fit are in `bad`, with the reason."""
    shape = row_shape(name, column.type, spec)
    rows = _Rows(f"column {name!r}", np.arange(len(column)))
    column = rows.without(column, np.asarray(column.is_valid()), "is null")
    lengths = None
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        lengths = np.asarray(column.value_lengths(), np.int64)
        if shape is not None:
            wanted = math.prod(shape) // math.prod(_levels(column.type)[0][1:])
            fits = lengths == wanted
            column = rows.without(column, fits, f"has {{}} values, and input {spec.name!r} takes {wanted}", lengths)
            lengths = None
    leaf = _flat(column)
    values, reasons = _values(leaf, spec)
    count = len(rows.positions)
    sizes = np.full(count, math.prod(shape or ())) if lengths is None else lengths
    ends = np.cumsum(sizes)
    if len(values) != (ends[-1] if count else 0):
        raise BatchFailed(f"column {name!r} has a list within a list that is null")
    unfit = np.fromiter(reasons, np.int64, len(reasons))
    keep = np.ones(count, np.bool_)
    for row, index in zip(np.searchsorted(ends, unfit, "right").tolist(), unfit.tolist(), strict=True):
        keep[row] = False
        rows.bad.setdefault(int(rows.positions[row]), f"column {name!r} {reasons[index]}")
    if not keep.all():
        values = values[np.repeat(keep, sizes)]
        lengths = lengths[keep] if lengths is not None else None
        rows.positions = rows.positions[keep]
    if shape is not None:
        values = values.reshape(len(rows.positions), *shape)
    return ColumnRows(values, lengths, rows.positions, rows.bad)


class _Rows:
    """Which rows are left, and why the others are not."""

    def __init__(self, what: str, positions: NDArray[np.int64]) -> None:
        self._what = what
        self.positions = positions
        self.bad: dict[int, str] = {}

    def without(
        self, column: pa.Array, keep: NDArray[np.bool_], reason: str, shown: NDArray[np.int64] | None = None
    ) -> pa.Array:
        """The column's rows that are to be kept."""
        if keep.all():
            return column
        for index in np.flatnonzero(~keep).tolist():
            told = reason if shown is None else reason.format(shown[index])
            self.bad[int(self.positions[index])] = f"{self._what} {told}"
        self.positions = self.positions[keep]
        return column.filter(pa.array(keep))


def _levels(kind: pa.DataType) -> tuple[tuple[int, ...], pa.DataType]:
    """The sizes of a column's lists, outermost first, -1 where they differ; and what stands in the innermost."""
    sizes = []
    while True:
        if isinstance(kind, pa.BaseExtensionType):
            kind = kind.storage_type
        elif pa.types.is_fixed_size_list(kind):
            sizes.append(kind.list_size)
            kind = kind.value_type
        elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
            sizes.append(-1)
            kind = kind.value_type
        elif pa.types.is_dictionary(kind):
            kind = kind.value_type
        else:
            return tuple(sizes), kind


def _flat(column: pa.Array) -> pa.Array:
    """What stands in the innermost lists. None of the outermost is null."""
    while True:
        kind = column.type
        if isinstance(kind, pa.BaseExtensionType):
            column = column.storage
        elif pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind):
            column = column.flatten()
        elif pa.types.is_dictionary(kind):
            column = column.dictionary_decode()
        else:
            return column


def _fits(sizes: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return len(sizes) == len(wanted) and all(want in (-1, size) for want, size in zip(wanted, sizes, strict=True))


def _is_text(leaf: pa.DataType) -> bool:
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    return any(kind(leaf) for kind in kinds)


def _leaf_fits(leaf: pa.DataType, datatype: str) -> bool:
    if pa.types.is_null(leaf):
        return True
    if datatype == "BYTES":
        return _is_text(leaf)
    if datatype == "BOOL":
        return bool(pa.types.is_boolean(leaf))
    return bool(pa.types.is_integer(leaf) or pa.types.is_floating(leaf) or pa.types.is_boolean(leaf))


def _values(leaf: pa.Array, spec: TensorSpec) -> tuple[NDArray[Any], dict[int, str]]:
    """The values in the input's type, and by place why some are none."""
    valid = np.asarray(leaf.is_valid())
    reasons = dict.fromkeys(np.flatnonzero(~valid).tolist(), "has a null in it")
    if spec.datatype == "BYTES":
        return leaf.to_numpy(zero_copy_only=False), reasons
    if leaf.null_count:
        leaf = leaf.drop_null()
    given = np.zeros(len(valid), spec.dtype) if pa.types.is_null(leaf.type) else leaf.to_numpy(zero_copy_only=False)
    cast, kept = _cast(given, spec)
    for index, place in zip(np.flatnonzero(~kept).tolist(), np.flatnonzero(valid)[~kept].tolist(), strict=True):
        reasons[place] = f"has {given[index]}, which {spec.datatype} cannot hold"
    if len(cast) == len(valid):
        return cast, reasons
    whole = np.zeros(len(valid), cast.dtype)
    whole[valid] = cast
    return whole, reasons


def _cast(given: NDArray[Any], spec: TensorSpec) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """In the input's type, and which of them are still what they were; a float may lose precision."""
    with np.errstate(all="ignore"):
        if spec.datatype == "BF16":
            single = given.astype(np.float32)
            return _bf16(single), np.isfinite(single) | ~np.isfinite(given)
        cast = given.astype(spec.dtype, copy=False)
        if cast.dtype == given.dtype:
            return cast, np.ones(len(cast), np.bool_)
        if cast.dtype.kind == "f":
            return cast, np.isfinite(cast) | ~np.isfinite(given)
        return cast, (cast.astype(given.dtype) == given) & ((cast < 0) == (given < 0))


def _bf16(single: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Bit patterns, rounded to the nearest, ties to even."""
    bits = single.view(np.uint32)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(single), np.uint16(0x7FC0), rounded)
