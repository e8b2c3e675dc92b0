"""What a model is fed before it serves, and in a bench: arrays from files, and made-up ones for the rest."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ortolan_server.errors import InvalidConfig, InvalidRequest
from ortolan_server.tensors.datatypes import DATATYPES
from ortolan_server.tensors.made_up import random_array, zeros_array
from ortolan_server.tensors.npy import read_npy
from ortolan_server.tensors.plans import TensorHeader
from ortolan_server.tensors.signature import Signature, TensorSpec
from ortolan_server.tensors.wording import listed, quoted, shape_text

__all__ = ["Arrays", "MadeUp", "Source", "first_rows", "make_inputs"]

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class MadeUp:
    """An input without a file."""

    data: Literal["zeros", "random"] = "random"
    shape: tuple[int, ...] | None = None
    """All of it; None: the model's, with 1 for what may vary, or what another input tells of the same symbol."""


Source = Path | MadeUp
"""Of one input: a .npy file, or made up."""

_RANDOM = MadeUp()


def make_inputs(
    signature: Signature, sources: Mapping[str, Source], *, rows: int | None, seed: int, rest: MadeUp = _RANDOM
) -> Arrays:
    """An array for each input of the model, by name; those that `sources` does not name are made up as `rest`.

    With so many `rows` where the model has a batch axis: those of a file are repeated or cut. None: the rows that the
    sources have. BYTES are objects of type `str`. Raises InvalidConfig naming the input, what came and what is wanted.
    """
    specs = {spec.name: spec for spec in signature.inputs}
    for name in sources:
        if name not in specs:
            raise InvalidConfig(f"the model has no input {quoted(name)}; it takes {listed(signature.inputs)}")
    read = {name: _read(specs[name], path) for name, path in sources.items() if isinstance(path, Path)}
    sizes = _sizes(signature, sources, read, rows)
    generator = np.random.default_rng(seed)
    arrays: Arrays = {}
    for name, spec in specs.items():
        source = sources.get(name, rest)
        if isinstance(source, MadeUp):
            arrays[name] = _made_up(spec, source, sizes, generator)
        elif signature.has_batch_axis and rows is not None:
            arrays[name] = _with_rows(name, read[name], rows)
        else:
            arrays[name] = read[name]
    headers = [TensorHeader(name, spec.datatype, arrays[name].shape) for name, spec in specs.items()]
    try:
        signature.check(headers)
    except InvalidRequest as error:
        raise InvalidConfig(str(error)) from error
    return {name: array.astype(object) if array.dtype.kind == "U" else array for name, array in arrays.items()}


def first_rows(signature: Signature, arrays: Arrays, rows: int) -> Arrays:
    """The inputs at a smaller batch size; as they are where the model has no batch axis."""
    return {name: array[:rows] for name, array in arrays.items()} if signature.has_batch_axis else arrays


def _read(spec: TensorSpec, path: Path) -> NDArray[Any]:
    try:
        array = read_npy(path)
    except (OSError, ValueError) as error:
        raise InvalidConfig(f"input {quoted(spec.name)}: {path}: {error}") from error
    wanted = DATATYPES[spec.datatype].dtype
    fits = array.dtype.kind in "US" if spec.datatype == "BYTES" else array.dtype == wanted
    if not fits:
        numpy_name = "text" if spec.datatype == "BYTES" else wanted.name
        raise InvalidConfig(f"input {quoted(spec.name)}: {path} holds {array.dtype}; wanted {numpy_name}")
    return array.astype(np.str_) if array.dtype.kind == "S" else array


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Of dimensions that may vary."""

    symbols: Mapping[str, int]
    rows: int | None
    """Of the first dimension of each input; None: the model has no batch axis."""
    asked: int | None
    """The rows that were asked for, if so: they hold for a shape that is written, too."""

    def of_model(self, declared: tuple[int | str | None, ...]) -> tuple[int, ...]:
        shape = [size if isinstance(size, int) else self.symbols.get(size or "", 1) for size in declared]
        return tuple(shape) if self.rows is None else (self.rows, *shape[1:])

    def of_written(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape if self.rows is None or self.asked is None or not shape else (self.asked, *shape[1:])


def _sizes(signature: Signature, sources: Mapping[str, Source], read: Arrays, rows: int | None) -> _Sizes:
    """What the inputs that are given tell of those that are not."""
    symbols: dict[str, int] = {}
    shapes = dict(_shapes(sources, read))
    for spec in signature.inputs:
        for symbol, size in zip(spec.shape or (), shapes.get(spec.name, ()), strict=False):
            if isinstance(symbol, str):
                symbols.setdefault(symbol, size)
    if not signature.has_batch_axis:
        return _Sizes(symbols, None, None)
    given = [shape[0] for shape in shapes.values() if shape]
    return _Sizes(symbols, rows if rows is not None else next(iter(given), 1), rows)


def _shapes(sources: Mapping[str, Source], read: Arrays) -> Iterator[tuple[str, tuple[int, ...]]]:
    for name, source in sources.items():
        if not isinstance(source, MadeUp):
            yield name, read[name].shape
        elif source.shape is not None:
            yield name, source.shape


def _made_up(spec: TensorSpec, made_up: MadeUp, sizes: _Sizes, generator: np.random.Generator) -> NDArray[Any]:
    if made_up.shape is not None:
        shape = sizes.of_written(made_up.shape)
    elif spec.shape is not None:
        shape = sizes.of_model(spec.shape)
    else:
        raise InvalidConfig(f"input {quoted(spec.name)} may have any shape: give it as a .npy file")
    try:
        if made_up.data == "zeros":
            return zeros_array(spec.datatype, shape)
        return random_array(spec.datatype, shape, generator)
    except ValueError as error:
        raise InvalidConfig(f"input {quoted(spec.name)}: {error}; give it as a .npy file") from error


def _with_rows(name: str, array: NDArray[Any], rows: int) -> NDArray[Any]:
    if array.ndim == 0 or array.shape[0] == 0:
        raise InvalidConfig(f"input {quoted(name)} has shape {shape_text(array.shape)}: wanted at least one row")
    times = -(-rows // array.shape[0])
    return array[:rows] if times == 1 else np.concatenate([array] * times)[:rows]
