"""What a model is fed in a bench: arrays from files, and made-up ones for the rest."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from ortolan_backends.runtime.model import ModelFile, walk
from ortolan_server.errors import InvalidConfig, InvalidRequest, LoadFailed
from ortolan_server.tensors import DATATYPES, Shape, Signature, TensorHeader, TensorSpec
from ortolan_server.tensors.npy import read_npy
from ortolan_server.tensors.random_values import random_array
from ortolan_server.tensors.wording import listed, quoted, shape_text

__all__ = ["Arrays", "declared_signature", "first_rows", "make_inputs", "random_operators"]

Arrays = dict[str, NDArray[Any]]

_RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)


class _Declared(NamedTuple):
    name: str
    onnx_type: str
    shape: Shape


def declared_signature(model: ModelFile) -> Signature:
    """What the model's file says it takes and gives. Raises InvalidConfig for what cannot be served."""
    graph = model.proto.graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [_declared(value) for value in graph.input if value.name not in weights]
    try:
        return Signature.of(inputs, [_declared(value) for value in graph.output])
    except LoadFailed as error:
        raise InvalidConfig(f"{model.path}: {error}") from error


def random_operators(model: ModelFile) -> tuple[str, ...]:
    """Types of the model's operators that draw random numbers."""
    found = {node.op_type for node in walk(model.proto.graph) if node.op_type in _RANDOM or _drops_out(node)}
    return tuple(sorted(found))


def make_inputs(signature: Signature, files: Mapping[str, Path], *, rows: int, seed: int) -> Arrays:
    """An array for each input of the model, by name, with so many rows where the model has a batch axis.

    Rows of a file are repeated or cut. Random inputs have 1 for other dimensions that may vary, or what a file says of
    the same symbol. Raises InvalidConfig naming the input, what came and what is wanted.
    """
    specs = {spec.name: spec for spec in signature.inputs}
    for name in files:
        if name not in specs:
            raise InvalidConfig(f"the model has no input {quoted(name)}; it takes {listed(signature.inputs)}")
    given = {name: _read(specs[name], path) for name, path in files.items()}
    sizes = _symbols(specs, given)
    generator = np.random.default_rng(seed)
    arrays = {
        name: given[name] if name in given else _made_up(spec, sizes, generator, rows=rows, signature=signature)
        for name, spec in specs.items()
    }
    if signature.has_batch_axis:
        arrays = {name: _with_rows(name, array, rows) for name, array in arrays.items()}
    headers = [TensorHeader(name, spec.datatype, arrays[name].shape) for name, spec in specs.items()]
    try:
        signature.check(headers)
    except InvalidRequest as error:
        raise InvalidConfig(str(error)) from error
    return arrays


def first_rows(signature: Signature, arrays: Arrays, rows: int) -> Arrays:
    """The inputs at a smaller batch size; as they are where the model has no batch axis."""
    return {name: array[:rows] for name, array in arrays.items()} if signature.has_batch_axis else arrays


def _declared(value: onnx.ValueInfoProto) -> _Declared:
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        return _Declared(value.name, str(kind or "untyped").removesuffix("_type"), None)
    tensor = value.type.tensor_type
    element = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
    shape = tuple(map(_dimension, tensor.shape.dim)) if tensor.HasField("shape") else None
    return _Declared(value.name, f"tensor({element})", shape)


def _dimension(dimension: onnx.TensorShapeProto.Dimension) -> int | str | None:
    if dimension.HasField("dim_value"):
        return dimension.dim_value
    return None if dimension.dim_param in ("", "?") else dimension.dim_param


def _drops_out(node: onnx.NodeProto) -> bool:
    """A Dropout that may be in training: inference has it without the input that says so."""
    training_mode = 2
    return node.op_type == "Dropout" and len(node.input) > training_mode and bool(node.input[training_mode])


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


def _symbols(specs: Mapping[str, TensorSpec], given: Arrays) -> dict[str, int]:
    """Sizes that the given arrays tell of symbols."""
    sizes: dict[str, int] = {}
    for name, array in given.items():
        for symbol, size in zip(specs[name].shape or (), array.shape, strict=False):
            if isinstance(symbol, str):
                sizes.setdefault(symbol, size)
    return sizes


def _made_up(
    spec: TensorSpec, sizes: Mapping[str, int], generator: np.random.Generator, *, rows: int, signature: Signature
) -> NDArray[Any]:
    if spec.shape is None:
        raise InvalidConfig(f"input {quoted(spec.name)} may have any shape: give it as a .npy file")
    shape = [_size(dimension, sizes) for dimension in spec.shape]
    if signature.has_batch_axis:
        shape[0] = rows
    try:
        return random_array(spec.datatype, shape, generator)
    except ValueError as error:
        raise InvalidConfig(f"input {quoted(spec.name)}: {error}; give it as a .npy file") from error


def _size(dimension: int | str | None, sizes: Mapping[str, int]) -> int:
    if isinstance(dimension, int):
        return dimension
    return sizes.get(dimension, 1) if dimension else 1


def _with_rows(name: str, array: NDArray[Any], rows: int) -> NDArray[Any]:
    if array.ndim == 0 or array.shape[0] == 0:
        raise InvalidConfig(f"input {quoted(name)} has shape {_text(array.shape)}: wanted at least one row")
    times = -(-rows // array.shape[0])
    return array[:rows] if times == 1 else np.concatenate([array] * times)[:rows]


def _text(shape: Sequence[int]) -> str:
    return shape_text(tuple(shape))
