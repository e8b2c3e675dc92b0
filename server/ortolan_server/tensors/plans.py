"""What a request says of its tensors, and all that follows from it: worked out once, as callers repeat themselves."""

import math
from collections.abc import Hashable
from typing import Any, NamedTuple

import numpy as np

from ortolan_server.tensors.datatypes import DATATYPES

__all__ = ["InputPlan", "OutputHeader", "OutputPlan", "TensorHeader", "plan_inputs"]


class TensorHeader(NamedTuple):
    """What a request says of an input, its data aside."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class OutputHeader(NamedTuple):
    """What a response says of an output, its shape and data aside."""

    name: str
    datatype: str


class OutputPlan(NamedTuple):
    """The outputs that a request wants, in the order of the answer."""

    names: tuple[str, ...]
    headers: tuple[OutputHeader, ...]
    class_counts: tuple[int, ...] = ()
    """For each how many of its greatest values are wanted instead, 0: the tensor itself. Empty: all as they are."""


class _PlannedInput(NamedTuple):
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    view_bytes: int
    """Raw data of this size is the tensor as it is; -1: it must be looked at."""
    header: TensorHeader


class InputPlan(NamedTuple):
    """How to read the inputs of requests with the same headers, which a signature has passed."""

    headers: tuple[TensorHeader, ...]
    inputs: tuple[_PlannedInput, ...]
    rows: int
    """Size of the batch dimension, 1 for models without one."""
    bucket: Hashable
    """Requests with an equal one can be stacked along dimension 0; None: cannot be stacked."""


def plan_inputs(headers: tuple[TensorHeader, ...], *, has_batch_axis: bool) -> InputPlan:
    """A pure function of headers that `Signature.check()` has passed."""
    inputs = tuple(_planned(header) for header in headers)
    if not has_batch_axis:
        return InputPlan(headers, inputs, rows=1, bucket=None)
    rows = headers[0].shape[0]
    # Dimensions without a name may differ in size from the others': which of them is the batch, nobody can say.
    alike = all(header.shape[0] == rows for header in headers)
    # In any order, since inputs are told apart by name.
    bucket = tuple(sorted((name, datatype, shape[1:]) for name, datatype, shape in headers))
    return InputPlan(headers, inputs, rows, bucket if alike else None)


def _planned(header: TensorHeader) -> _PlannedInput:
    datatype = DATATYPES[header.datatype]
    size_bytes = math.prod(header.shape) * datatype.item_size
    # Bytes of BOOL and BYTES may be wrong; without any bytes there is nothing to view.
    viewed = size_bytes > 0 and datatype.name != "BOOL"
    return _PlannedInput(header.name, header.shape, datatype.dtype, size_bytes if viewed else -1, header)
