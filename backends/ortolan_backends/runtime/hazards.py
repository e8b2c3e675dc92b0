"""Nodes with which a caller could end the process, inside ONNX Runtime's kernels on the CPU.

Integer division traps in hardware where the kernel does not look first, and no exception of Python's comes of
it. Tried on ONNX Runtime 1.24.1, 1.31.1 and 1.32.0:

    the smallest integer / -1            SIGFPE in all (Mod: not in 1.32)
    division and modulo by zero          an error since 1.31, SIGFPE in 1.24
    RoiAlign, MaxUnpool, a bad index     an error since 1.31, SIGSEGV or abort in 1.24
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from ortolan_backends.runtime.graph import graph_of
from ortolan_backends.runtime.model import ModelFile, bodies, walk
from ortolan_backends.runtime.ort import onnxruntime

__all__ = ["find_hazards"]

_ONNX_DOMAIN = ("", "ai.onnx")
_DIVISIONS = frozenset({"Div", "Mod"})
_UNCHECKED_BEFORE_1_31 = frozenset({"MaxUnpool", "RoiAlign"})
_INTEGERS = frozenset(
    {
        TensorProto.INT8,
        TensorProto.INT16,
        TensorProto.INT32,
        TensorProto.INT64,
        TensorProto.UINT8,
        TensorProto.UINT16,
        TensorProto.UINT32,
        TensorProto.UINT64,
    }
)
_TRAPPING = (0, -1)
# What onnx raises for tensors and attributes of unknown datatypes, or of too few or too many bytes.
_SENSELESS = (ValueError, TypeError, KeyError, IndexError, OverflowError)


def find_hazards(model: ModelFile) -> list[str]:
    """A sentence for each such node, naming it; empty for nearly every model.

    A divisor that is constant, or computed from shapes alone, is fine unless it can be 0 or -1. Where a datatype
    cannot be inferred (operators of another domain) the node is taken for a floating-point one.
    """
    old = tuple(int(part) for part in onnxruntime.__version__.split(".")[:2]) < (1, 31)
    nodes = list(walk(model.proto.graph))
    found = [
        f"node {node.name!r} ({node.op_type}) does not check the indices it is given in ONNX Runtime "
        f"{onnxruntime.__version__}, which crashes on a bad one"
        for node in nodes
        if old and node.op_type in _UNCHECKED_BEFORE_1_31
    ]
    divisions = [
        node
        for node in nodes
        if node.op_type in _DIVISIONS and node.domain in _ONNX_DOMAIN and len(node.input) > 1  # else none is made of it
    ]
    if not divisions:
        return found
    constants = dict(_constants(model.proto.graph))
    types = _element_types(model.proto)
    graph = graph_of(model.proto)
    from_shapes = {name for node in graph.nodes.values() if node.shape_only and not old for name in node.makes}
    return found + [
        f"node {node.name!r} ({node.op_type}) divides integers by values that a caller can choose, and ONNX Runtime "
        f"{onnxruntime.__version__} ends the process on some (SIGFPE)"
        for node in divisions
        if _INTEGERS.intersection(types.get(name, TensorProto.UNDEFINED) for name in (*node.input, *node.output))
        and not _is_harmless(node.input[1], constants, from_shapes)
    ]


def _is_harmless(divisor: str, constants: dict[str, NDArray[np.generic]], from_shapes: set[str]) -> bool:
    if divisor in constants:
        return not np.isin(constants[divisor], _TRAPPING).any()
    return divisor in from_shapes


def _constants(graph: onnx.GraphProto) -> Iterator[tuple[str, NDArray[np.generic]]]:
    """Initializers and Constant nodes that are at hand, those of bodies included; weights in other files are not.

    Nor is one that makes no sense, such as of another size than its shape: as a divisor it counts as unknown.
    """
    for tensor in graph.initializer:
        if tensor.data_location != TensorProto.EXTERNAL:
            with suppress(*_SENSELESS):
                yield tensor.name, numpy_helper.to_array(tensor)
    for node in graph.node:
        if node.op_type == "Constant" and node.output:
            yield from ((node.output[0], value) for value in _constant_values(node))
        for body in bodies(node):
            yield from _constants(body)


def _constant_values(node: onnx.NodeProto) -> Iterator[NDArray[np.generic]]:
    for attribute in node.attribute:
        with suppress(*_SENSELESS):
            if attribute.name == "value":
                yield numpy_helper.to_array(attribute.t)
            elif attribute.name in ("value_int", "value_float"):
                yield np.asarray(onnx.helper.get_attribute_value(attribute))
            elif attribute.name in ("value_ints", "value_floats"):
                yield np.asarray(list(onnx.helper.get_attribute_value(attribute)))


def _element_types(proto: onnx.ModelProto) -> dict[str, int]:
    """Datatypes by tensor, as far as ONNX's shape inference tells."""
    try:
        inferred = onnx.shape_inference.infer_shapes(proto)
    except Exception:  # noqa: BLE001 - whatever it does not understand; ONNX Runtime judges the model
        inferred = proto
    return dict(_typed(inferred.graph))


def _typed(graph: onnx.GraphProto) -> Iterator[tuple[str, int]]:
    declared: Iterable[onnx.ValueInfoProto] = (*graph.input, *graph.value_info, *graph.output)
    for value in declared:
        yield value.name, value.type.tensor_type.elem_type
    for tensor in graph.initializer:
        yield tensor.name, tensor.data_type
    for node in graph.node:
        for body in bodies(node):
            yield from _typed(body)
