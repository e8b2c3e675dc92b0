"""What a model takes and gives, and whether arrays fit it: asked here, before anything is sent."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ortolan.inference.inference_pb2 import ModelMetadataResponse
from ortolan_client._errors import BadAnswer, InvalidInput
from ortolan_client._tensors import dtype_of

__all__ = ["Inputs", "Signature", "TensorSpec", "signature_of"]

Inputs = Mapping[str, ArrayLike] | ArrayLike
"""By name; for a model with one input also that alone."""

# What numpy makes of Python's own numbers: these have no size that the caller has chosen.
_FROM_PYTHON = (np.dtype(bool), np.dtype(np.int64), np.dtype(np.uint64), np.dtype(np.float64))


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output of a model."""

    name: str
    datatype: str
    """The protocol's name: FP32, INT64, BYTES, …"""
    shape: tuple[int, ...]
    """-1: of any size. A tensor of any rank has (-1,), too: the protocol has no word for it."""
    dtype: np.dtype[Any] = field(init=False, compare=False)
    """Of its arrays: `object` for BYTES, uint16 (bit patterns) for BF16."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", dtype_of(self.datatype))

    def __str__(self) -> str:
        return f"{self.datatype} {list(self.shape)}"

    def array(self, value: ArrayLike) -> NDArray[Any]:
        """`value` in this tensor's dtype. Raises ValueError where that would lose something, or the shape is another.

        Arrays are cast as numpy's rule "safe" has it. Numbers of Python and lists of them have no size of their own:
        whole numbers fit where their values do, floats wherever floats are wanted.
        """
        array = np.asarray(value)
        if isinstance(value, (bool, int, float, list, tuple)) and array.dtype in _FROM_PYTHON:
            array = self._from_python(array)
        else:
            self._check_dtype(array)
        if self.shape != (-1,) and not _fits(array.shape, self.shape):
            hint = "; a batch of one is array[np.newaxis]" if _fits((1, *array.shape), self.shape) else ""
            raise ValueError(f"takes {self}, got {list(array.shape)}{hint}")
        if self.datatype == "BYTES" or array.dtype.name == "bfloat16":
            return array
        return array.astype(self.dtype, copy=False)

    def _check_dtype(self, array: NDArray[Any]) -> None:
        dtype = array.dtype
        if self.datatype == "BYTES":
            fits = dtype.kind in "OSTU"
        elif self.datatype == "BF16":
            fits = dtype == np.uint16 or dtype.name == "bfloat16"
        else:
            fits = dtype.kind not in "OSTUV" and np.can_cast(dtype, self.dtype, "safe")
        if not fits:
            raise ValueError(f"takes {self}, got {dtype} {list(array.shape)}{self._cast_hint(dtype)}")

    def _cast_hint(self, dtype: np.dtype[Any]) -> str:
        if self.datatype == "BF16":
            return "; BF16 is ml_dtypes.bfloat16, or its bit patterns as uint16"
        if self.datatype == "BYTES":
            return "; BYTES are arrays of str or bytes"
        if dtype.kind in "biuf":
            return f", which could lose values: array.astype(np.{self.dtype}) says that this is meant"
        return ""

    def _from_python(self, array: NDArray[Any]) -> NDArray[Any]:
        if not array.size:
            return array.astype(self.dtype)
        if self.datatype in ("BF16", "BYTES") or self.dtype.kind not in _FITS_INTO[array.dtype.kind]:
            raise ValueError(f"takes {self}, got {_CALLED[array.dtype.kind]}{self._cast_hint(np.dtype(object))}")
        with np.errstate(all="ignore"):
            cast = array.astype(self.dtype)
            if array.dtype.kind == "f":
                kept = np.isfinite(cast) | ~np.isfinite(array)
            else:
                kept = (cast.astype(array.dtype) == array) & ((cast < 0) == (array < 0))
        if not np.all(kept):
            raise ValueError(f"takes {self}, which cannot hold {array[~kept].flat[0]}")
        return cast


# Of numpy's kinds: bool, int, uint, float.
_FITS_INTO = {"b": "biuf", "i": "iuf", "u": "iuf", "f": "f"}
_CALLED = {"b": "True and False", "i": "whole numbers", "u": "whole numbers", "f": "floats"}


def _fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return len(shape) == len(wanted) and all(want in (-1, size) for size, want in zip(shape, wanted, strict=True))


@dataclass(frozen=True, slots=True)
class Signature:
    """The inputs and outputs of a model, in its order."""

    model: str
    version: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]

    @property
    def batch_axis(self) -> int | None:
        """0 where the first dimension may vary in every input and output, as that of a batch does; else None."""
        specs = (*self.inputs.values(), *self.outputs.values())
        return 0 if specs and all(spec.shape[:1] == (-1,) for spec in specs) else None

    def feeds(self, inputs: Inputs) -> dict[str, NDArray[Any]]:
        """The arrays to send. Raises InvalidInput that says what the model takes."""
        by_name = self._by_name(inputs)
        self._require(by_name, self.inputs, "input", "takes")
        missing = [name for name in self.inputs if name not in by_name]
        if missing:
            raise self._invalid(f"needs input {_listed(self.inputs, missing)}")
        arrays = {}
        for name, value in by_name.items():
            try:
                arrays[name] = self.inputs[name].array(value)
            except ValueError as error:
                raise self._invalid(f"input {name!r}: {error}") from error
        return arrays

    def check_outputs(self, names: Iterable[str]) -> None:
        """Raises InvalidInput for one that the model does not have."""
        self._require(names, self.outputs, "output", "gives")

    def _by_name(self, inputs: Inputs) -> Mapping[str, ArrayLike]:
        if isinstance(inputs, Mapping):
            return inputs
        if len(self.inputs) != 1:
            raise self._invalid(f"has {len(self.inputs)} inputs, to be given by name: {_listed(self.inputs)}")
        return dict.fromkeys(self.inputs, inputs)

    def _require(self, names: Iterable[str], known: Mapping[str, TensorSpec], kind: str, verb: str) -> None:
        for name in names:
            if name not in known:
                raise self._invalid(f"has no {kind} {name!r}; it {verb} {_listed(known)}")

    def _invalid(self, text: str) -> InvalidInput:
        return InvalidInput(f"model {self.model!r}: {text}", code="INVALID_ARGUMENT", model=self.model)


def _listed(specs: Mapping[str, TensorSpec], names: Iterable[str] | None = None) -> str:
    return ", ".join(f"{name!r} {specs[name]}" for name in (specs if names is None else names))


def signature_of(metadata: ModelMetadataResponse, version: str) -> Signature:
    """Raises BadAnswer for a datatype that the protocol does not have."""
    try:
        return Signature(metadata.name, version, _specs(metadata.inputs), _specs(metadata.outputs))
    except ValueError as error:
        raise BadAnswer(f"the metadata is wrong: {error}", code="INTERNAL", model=metadata.name) from error


def _specs(tensors: Iterable[ModelMetadataResponse.TensorMetadata]) -> dict[str, TensorSpec]:
    return {tensor.name: TensorSpec(tensor.name, tensor.datatype, tuple(tensor.shape)) for tensor in tensors}
