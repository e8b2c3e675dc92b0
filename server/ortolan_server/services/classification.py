"""The classification extension: the greatest values of an output, with their places."""

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["classify"]

Array = NDArray[np.generic]


def classify(array: Array, datatype: str, count: int, *, batched: bool) -> NDArray[np.object_]:
    """The `count` greatest values as texts `value:index`, greatest first, of equal ones the first.

    Shape [count], over the flattened array; with `batched` shape [n, count], over each of the n flattened rows.
    `count` is cut to what there is. Not for BYTES.
    """
    rows = len(array) if batched and array.ndim else 1
    width = math.prod(array.shape[1:]) if batched and array.ndim else array.size
    values = _numbers(array, datatype).reshape(rows, width)
    best = _descending(values)[:, :count]
    texts = np.empty(best.shape, object)
    for place, index in np.ndenumerate(best):
        texts[place] = f"{_text(values[place[0], index])}:{index}"
    return texts if batched and array.ndim else texts[0]


def _numbers(array: Array, datatype: str) -> NDArray[np.number]:
    if datatype == "BF16":
        return (array.astype(np.uint32) << np.uint32(16)).view(np.float32)
    if datatype == "BOOL":
        return array.astype(np.uint8)
    return array  # type: ignore[return-value]  # all that is left are numbers


def _descending(values: NDArray[np.number]) -> NDArray[np.intp]:
    """Indices by row; NaN counts as least."""
    keys = values
    if values.dtype.kind == "f":
        keys = np.where(np.isnan(values), -np.inf, values)
    # Sorted backwards, a stable order of the mirrored rows keeps the first of equal values first.
    mirrored = np.argsort(keys[:, ::-1], axis=1, kind="stable")
    places: NDArray[np.intp] = values.shape[1] - 1 - mirrored[:, ::-1]
    return places


def _text(value: np.number) -> str:
    return f"{value:f}" if value.dtype.kind == "f" else str(value)
