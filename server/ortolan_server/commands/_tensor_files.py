"""Tensors of the command line: read from .npy files, made up, written, and shown in short."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ortolan.inference import inference_pb2 as pb
from ortolan_server.tensors.made_up import random_array
from ortolan_server.tensors.npy import read_npy

__all__ = ["float_values", "json_values", "named", "preview", "random_tensor", "read_npy", "text_values", "write_npy"]

_PREVIEWED = 6


def write_npy(path: Path, array: NDArray[Any]) -> None:
    """Text is written as numpy's fixed-width kind, so that no reader has to unpickle."""
    np.save(path, text_values(array) if array.dtype == object else array, allow_pickle=False)


def random_tensor(
    tensor: pb.ModelMetadataResponse.TensorMetadata, shape: Sequence[int], generator: np.random.Generator
) -> NDArray[Any]:
    """A tensor of the model as `random_array` makes it up.

    Raises ValueError for a shape that does not fit the model's, or that is far too large.
    """
    declared = list(tensor.shape)
    fits = len(shape) == len(declared) and all(want in (-1, got) for want, got in zip(declared, shape, strict=True))
    if not fits or any(size < 0 for size in shape):
        raise ValueError(f"shape {list(shape)} does not fit the model's {declared}")
    return random_array(tensor.datatype, shape, generator)


def float_values(array: NDArray[Any], datatype: str) -> NDArray[Any]:
    """BF16 bit patterns as float32; everything else as it is."""
    if datatype != "BF16":
        return array
    return (array.astype(np.uint32) << 16).view(np.float32)


def text_values(array: NDArray[Any]) -> NDArray[np.str_]:
    """Elements that are no UTF-8 keep their bytes as escapes."""
    texts = [bytes(element).decode(errors="backslashreplace") for element in array.ravel()]
    return np.array(texts, np.str_).reshape(array.shape)


def preview(array: NDArray[Any]) -> str:
    """The first elements in row-major order."""
    flat = array.ravel()[:_PREVIEWED]
    shown = [_short(value) for value in (text_values(flat) if array.dtype == object else flat)]
    return ", ".join([*shown, "…"] if array.size > _PREVIEWED else shown)


def json_values(array: NDArray[Any]) -> list[object]:
    """All elements in row-major order; what JSON has no number for is text, as in protobuf's JSON."""
    if array.dtype == object:
        return list(text_values(array).ravel().tolist())
    return [_json_value(value) for value in array.ravel().tolist()]


def _short(value: object) -> str:
    if isinstance(value, str):
        return json.dumps(str(value), ensure_ascii=False)
    return f"{value:.5g}" if isinstance(value, np.floating) else str(value)


def _json_value(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value


def named(pairs: Iterable[str], what: str) -> Mapping[str, str]:
    """`name=value` texts by name. Raises ValueError for what has no `=`, and for a name that comes twice."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not (name and sign and value):
            raise ValueError(f"{what} takes name=value, not {pair!r}")
        if name in found:
            raise ValueError(f"{what} names {name!r} twice")
        found[name] = value
    return found
