"""Calls that may be joined, one batch of their inputs, and their parts of its outputs."""

from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np

from ortolan_server.engine.call import Array, InferenceCall

__all__ = ["NotSplittable", "join", "size_bytes", "split"]


class NotSplittable(Exception):
    """An output of a batch is not made of its calls' rows; the text says which."""


def size_bytes(call: InferenceCall) -> int:
    """About how much memory its inputs take."""
    total = 0
    for array in call.feeds.values():
        total += array.nbytes
        if array.dtype.hasobject:
            total += sum(len(str(text)) for text in array.flat)
    return total


def join(calls: Sequence[InferenceCall]) -> dict[str, Array]:
    """The inputs of calls of one bucket, one after the other."""
    return {name: np.concatenate([call.feeds[name] for call in calls]) for name in calls[0].feeds}


def split(arrays: Sequence[Array], outputs: Sequence[str], rows: Sequence[int]) -> list[tuple[Array, ...]]:
    """Each call's part of a batch's outputs, as views. Raises NotSplittable."""
    starts = list(accumulate(rows, initial=0))
    total = starts[-1]
    spans = list(pairwise(starts))
    for array, name in zip(arrays, outputs, strict=True):
        if array.ndim == 0 or array.shape[0] != total:
            raise NotSplittable(f"output {name!r} has shape {list(array.shape)} for {total} rows")
    return list(zip(*[[array[start:end] for start, end in spans] for array in arrays], strict=True))
