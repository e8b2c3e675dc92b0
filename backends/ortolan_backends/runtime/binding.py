"""Runs whose outputs go into memory of the caller, without an array between.

By `run_with_ortvaluevector`, not by IOBinding: it does the same for less, and raises typed errors as `run()` does
(docs/decisions/0008-output-binding.md). Outputs of a provider on a device are copied once, to where they belong.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ortolan_backends.runtime.ort import onnxruntime

__all__ = ["Misfit", "run_bound"]

Array = NDArray[np.generic]

_state = onnxruntime.capi.onnxruntime_pybind11_state
_CPU = _state.OrtDevice(_state.OrtDevice.cpu(), _state.OrtDevice.default_memory(), 0)
# Of 1.31 and later, and of those before.
_OTHER_SHAPE = ("The output OrtValue provided for output", "OrtValue shape verification failed")


class Misfit(Exception):
    """The model gives an output of another shape than its array has."""


def run_bound(
    session: Any,  # noqa: ANN401 - onnxruntime has no types
    feeds: Mapping[str, Array],
    outputs: Sequence[str],
    into: Sequence[Array],
    options: Any,  # noqa: ANN401
) -> list[Array]:
    """One run of an `onnxruntime.InferenceSession` with numeric tensors of types that numpy has.

    Arrays in the order of `outputs`: those of `into`, but for outputs that are an input or a constant, which ONNX
    Runtime hands on as they are. Raises Misfit, else what ONNX Runtime raises.
    """
    fed, fetched = _values(feeds.values()), _values(into)
    try:
        session.run_with_ortvaluevector(options, list(feeds), fed, list(outputs), fetched, [_CPU] * len(into))
    except (_state.InvalidArgument, _state.Fail) as error:
        if any(text in str(error) for text in _OTHER_SHAPE):
            raise Misfit from error
        raise
    return [
        array if value.data_ptr() == array.ctypes.data else value.numpy()
        for value, array in zip(fetched, into, strict=True)
    ]


def _values(arrays: Any) -> Any:  # noqa: ANN401 - onnxruntime has no types
    """Their memory, as ONNX Runtime sees it: nothing is copied where it is C-contiguous."""
    values = _state.OrtValueVector()
    for array in arrays:
        values.push_back(_state.OrtValue.ortvalue_from_numpy(array, _CPU))
    return values
