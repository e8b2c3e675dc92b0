"""The shared test vectors as a Python test needs them."""

import base64
import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

__all__ = ["VECTORS", "Vector", "array_of", "raw_of"]

Vector = dict[str, Any]

VECTORS: dict[str, list[Vector]] = json.loads(
    (Path(__file__).parents[2] / "clients" / "vectors.json").read_text(encoding="utf-8")
)

_DTYPES: dict[str, Any] = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BF16": ml_dtypes.bfloat16,
    "BYTES": np.object_,
}


def raw_of(tensor: Vector) -> bytes:
    """The tensor's bytes as they travel."""
    return base64.b64decode(tensor["raw"])


def array_of(tensor: Vector) -> NDArray[Any]:
    """From the tensor's values; from its bytes where it has none."""
    dtype = np.dtype(_DTYPES[tensor["datatype"]])
    if "values" not in tensor:
        return np.frombuffer(raw_of(tensor), dtype).reshape(tensor["shape"])
    # 64-bit integers stand there as text, which numpy would not take for a number.
    values = map(int, tensor["values"]) if dtype.kind in "iu" else tensor["values"]
    return np.array(list(values), dtype).reshape(tensor["shape"])
