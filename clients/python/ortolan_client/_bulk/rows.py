"""Rows on their way into batches: from dicts of one row each, from columns, and from blocks of columns."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ortolan_client._errors import InvalidInput
from ortolan_client._signature import Signature, TensorSpec

__all__ = ["Blocks", "Columns", "Dicts", "RowSource", "Taken"]

Tensors = Mapping[str, NDArray[Any]]


class Taken(NamedTuple):
    """So many rows as one batch, or with `error` rows that no model takes."""

    inputs: Tensors
    rows: int
    error: InvalidInput | None = None


class RowSource(Protocol):
    """Rows, first to last, once."""

    total: int | None
    """How many there are; None: nobody knows."""

    def take(self, most: int) -> Taken | None:
        """The next rows, at most so many; fewer where they differ in shape or end. None: there are no more."""


class Columns:
    """Arrays with a first dimension in common: one row for each of its places.

    Raises InvalidInput for arrays that do not have it.
    """

    def __init__(self, columns: Mapping[str, ArrayLike], signature: Signature) -> None:
        self._columns = {name: np.asarray(column) for name, column in columns.items()}
        self._signature = signature
        self.total: int | None = _rows_of(self._columns, signature.model)
        self._at = 0

    def take(self, most: int) -> Taken | None:
        rows = min(most, (self.total or 0) - self._at)
        if rows <= 0:
            return None
        inputs = {name: column[self._at : self._at + rows] for name, column in self._columns.items()}
        self._at += rows
        try:
            return Taken(self._signature.feeds(inputs), rows)
        except InvalidInput as error:
            return Taken({}, rows, error)


class Blocks:
    """Columns that come in blocks, each of any number of rows; a batch never spans two."""

    def __init__(self, blocks: Iterable[Tensors], signature: Signature, total: int | None = None) -> None:
        self._blocks = iter(blocks)
        self._signature = signature
        self.total = total
        self._block: Columns | None = None

    def take(self, most: int) -> Taken | None:
        while True:
            if self._block is not None and (taken := self._block.take(most)) is not None:
                return taken
            block = next(self._blocks, None)
            if block is None:
                return None
            self._block = Columns(block, self._signature)


class Dicts:
    """One mapping for each row, its values without the batch dimension.

    Rows that follow each other and have the same shapes go into one batch.
    """

    total: int | None = None

    def __init__(self, rows: Iterable[Mapping[str, ArrayLike]], signature: Signature) -> None:
        self._rows = iter(rows)
        self._row = _one_row(signature)
        self._kept: Tensors | InvalidInput | None = None
        self._fits: list[tuple[str, np.dtype[Any], tuple[int, ...]]] | None = None
        """The arrays of a row that went through as they are: others like them need no second look."""

    def take(self, most: int) -> Taken | None:
        batch: list[Tensors] = []
        alike: list[tuple[int, ...]] = []
        while len(batch) < most and (row := self._next()) is not None:
            if isinstance(row, InvalidInput):
                if not batch:
                    return Taken({}, 1, row)
                self._kept = row
                break
            shapes = [row[name].shape for name in self._row.inputs]
            if batch and shapes != alike:
                self._kept = row
                break
            alike = shapes
            batch.append(row)
        if not batch:
            return None
        return Taken({name: _stacked([row[name] for row in batch]) for name in self._row.inputs}, len(batch))

    def _next(self) -> Tensors | InvalidInput | None:
        if self._kept is not None:
            row, self._kept = self._kept, None
            return row
        for given in self._rows:
            kind = [(name, value.dtype, value.shape) for name, value in given.items() if type(value) is np.ndarray]
            if kind == self._fits and len(kind) == len(given):
                return cast("Tensors", given)
            try:
                feeds = self._row.feeds(given)
            except InvalidInput as error:
                return error
            if len(kind) == len(given) and all(feeds[name] is given[name] for name in feeds):
                self._fits = kind
            return feeds
        return None


def _one_row(signature: Signature) -> Signature:
    """What the model takes for one row: without the batch dimension."""
    inputs = {name: TensorSpec(name, spec.datatype, spec.shape[1:]) for name, spec in signature.inputs.items()}
    return replace(signature, inputs=inputs)


def _stacked(values: list[NDArray[Any]]) -> NDArray[Any]:
    first = values[0]
    if first.dtype.kind in "OSTU":  # texts, each of a type as long as itself
        return np.stack([value.astype(np.object_) for value in values])
    if first.ndim == 0:
        return np.array([value[()] for value in values], first.dtype)
    return np.concatenate(values).reshape(len(values), *first.shape)  # a tenth of what np.stack takes


def _rows_of(columns: Tensors, model: str) -> int:
    if not columns:
        raise InvalidInput("no columns were given", code="INVALID_ARGUMENT", model=model)
    counts = {name: len(column) if column.ndim else None for name, column in columns.items()}
    (rows, *others) = dict.fromkeys(counts.values())
    if rows is None or others:
        told = ", ".join(f"{name} {list(column.shape)}" for name, column in columns.items())
        raise InvalidInput(
            f"columns take a first dimension in common, one place a row, not {told}",
            code="INVALID_ARGUMENT",
            model=model,
        )
    return rows
