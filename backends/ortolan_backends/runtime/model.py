"""A model file as a session opens it: functions inlined, every node with a name of its own.

ONNX Runtime reports assignments by node name, and names may be empty or doubled. Such models are given
names and opened from memory; the others from their file.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import inliner
from onnx.checker import ValidationError

from ortolan_backends.errors import UnservableModel

__all__ = ["ModelFile", "read_model", "walk"]

_REPEATING = frozenset({"Loop", "Scan"})
# They make a tensor as large as a value says. Where its data is an input, and not its size, is not told apart.
_SIZED = frozenset({"ConstantOfShape", "Expand", "Range", "Tile"})
_RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)


# Protocol Buffers count in an int32.
_LARGEST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class ModelFile:
    """`proto` has no external data loaded; `source` is what ONNX Runtime opens, a path or the bytes."""

    path: Path
    proto: onnx.ModelProto
    source: str | bytes

    @property
    def unranked(self) -> frozenset[str]:
        """Inputs and outputs whose rank the model leaves open."""
        declared = (*self.proto.graph.input, *self.proto.graph.output)
        return frozenset(
            info.name
            for info in declared
            if info.type.HasField("tensor_type") and not info.type.tensor_type.HasField("shape")
        )

    @property
    def is_predictable(self) -> bool:
        """Whether the sizes of the inputs alone decide how long a run takes, as far as the graph shows it.

        Not so with a Loop or a Scan, nor where an input says how large a tensor is to be made.
        """
        given = {info.name for info in self.proto.graph.input}
        return not any(
            node.op_type in _REPEATING or (node.op_type in _SIZED and not given.isdisjoint(node.input))
            for node in walk(self.proto.graph)
        )

    @property
    def random_operators(self) -> tuple[str, ...]:
        """Types of its operators that draw random numbers: with any of them no two runs agree."""
        found = {node.op_type for node in walk(self.proto.graph) if node.op_type in _RANDOM or _drops_out(node)}
        return tuple(sorted(found))


def read_model(path: Path) -> ModelFile:
    """Reads a model and names its nodes. Raises UnservableModel when the file is not an ONNX model."""
    try:
        if fault := _file_fault(path.stat()):
            raise UnservableModel(f"{path.name} {fault}", stage="open")
        proto = onnx.load(str(path), load_external_data=False)
    except OSError as error:
        raise UnservableModel(f"{path.name} cannot be read: {error.strerror}", stage="open") from error
    except (DecodeError, ValueError) as error:
        raise UnservableModel(f"{path.name} is not a readable ONNX model: {error}", stage="open") from error
    if not proto.graph.node and not proto.graph.output:
        raise UnservableModel(f"{path.name} is not an ONNX model: it has no nodes and no outputs", stage="open")
    changed = bool(proto.functions)
    if changed:
        # ONNX Runtime inlines them too, and would report nodes without names.
        try:
            proto = inliner.inline_local_functions(proto)
        except (ValidationError, RuntimeError, ValueError) as error:
            raise UnservableModel(f"the functions of {path.name} cannot be inlined: {error}", stage="open") from error
    changed |= _name_nodes(proto.graph)
    return ModelFile(path, proto, proto.SerializeToString() if changed else str(path))


def _file_fault(status: os.stat_result) -> str | None:
    """What keeps a file from being a model, before it is opened: reading a pipe would wait for ever."""
    if not stat.S_ISREG(status.st_mode):
        return "is not a plain file"
    if status.st_size == 0:
        return "is empty: it has 0 bytes"
    if status.st_size > _LARGEST:
        return f"has {status.st_size} bytes; a model has at most {_LARGEST}, and larger weights in files beside it"
    return None


def walk(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Every node, those of control-flow bodies behind their owner."""
    for node in graph.node:
        yield node
        for body in bodies(node):
            yield from walk(body)


def bodies(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs a control-flow node holds."""
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == onnx.AttributeProto.GRAPHS:
            yield from attribute.graphs


def _drops_out(node: onnx.NodeProto) -> bool:
    """A Dropout that may be in training: inference has it without the input that says so."""
    training_mode = 2
    return node.op_type == "Dropout" and len(node.input) > training_mode and bool(node.input[training_mode])


def _name_nodes(graph: onnx.GraphProto) -> bool:
    """Gives a name to every node that has none or shares it; says whether anything changed."""
    nodes = list(walk(graph))
    taken = {node.name for node in nodes}
    seen: set[str] = set()
    changed = False
    for node in nodes:
        if not node.name or node.name in seen:
            node.name = _free_name(node, taken)
            taken.add(node.name)
            changed = True
        seen.add(node.name)
    return changed


def _free_name(node: onnx.NodeProto, taken: set[str]) -> str:
    """After the operator and what it makes, which is what a reader of the model would look for."""
    made = next((output for output in node.output if output), "")
    stem = f"{node.op_type}:{made}" if made else node.op_type
    name, number = stem, 2
    while name in taken:
        name, number = f"{stem}:{number}", number + 1
    return name
