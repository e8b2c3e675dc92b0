"""The signature of a model as its file declares it: known before a session is open."""

from typing import NamedTuple

import onnx

from ortolan_backends.runtime.model import ModelFile
from ortolan_server.errors import InvalidConfig, LoadFailed
from ortolan_server.tensors import Shape, Signature

__all__ = ["declared_signature"]


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
