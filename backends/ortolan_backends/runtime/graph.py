"""The graph behind an assignment: what each node reads, makes, weighs, and whether it only computes shapes.

ONNX Runtime assigns nodes after its level-1 optimisations. Where more than one provider takes part, the graph
of that moment is made again by a CPU session at level 1 and read back; its nodes carry the same names.
"""

import tempfile
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import onnx

from ortolan_backends.runtime.model import ModelFile, bodies
from ortolan_backends.runtime.ort import onnxruntime

__all__ = ["GraphNode", "ModelGraph", "graph_at_partitioning", "graph_of"]

_SHAPE_SOURCES = frozenset({"Shape", "Size"})


@dataclass(frozen=True, slots=True)
class GraphNode:
    """A node in topological order; tensors are known by names that are unique over all bodies."""

    name: str
    op_type: str
    domain: str
    reads: tuple[str, ...]
    makes: tuple[str, ...]
    parameters: int
    """Elements of the initializers it reads."""
    shape_only: bool
    """It is Shape or Size, or computes only on what they gave."""


@dataclass(frozen=True, slots=True)
class ModelGraph:
    """Nodes by name, in topological order; bodies of control flow follow their owner."""

    nodes: Mapping[str, GraphNode]


def graph_of(proto: onnx.ModelProto) -> ModelGraph:
    """The graph as the model's file has it."""
    reader = _Reader()
    reader.read(proto.graph, ChainMap(), "")
    return ModelGraph({node.name: node for node in reader.nodes})


def graph_at_partitioning(model: ModelFile, level: Any) -> ModelGraph | None:  # noqa: ANN401 - onnxruntime has no types
    """The graph as it was partitioned in a session of optimisation level `level`.

    None where it cannot be had: a graph of over 2 GiB, operators that the CPU does not have.
    """
    basic = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level if int(level) < int(basic) else basic
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(model.path.parent))
    options.add_provider("CPUExecutionProvider", {})
    try:
        with tempfile.TemporaryDirectory(prefix="ortolan-graph-") as folder:
            target = Path(folder) / "optimised.onnx"
            options.optimized_model_filepath = str(target)
            onnxruntime.InferenceSession(model.source, options, enable_fallback=0)
            return graph_of(onnx.load(str(target), load_external_data=False))
    except Exception:  # noqa: BLE001 - ONNX Runtime raises plain RuntimeError and worse
        return None


class _Reader:
    """Collects nodes; values of bodies are told apart by a prefix, as sibling bodies may share names."""

    def __init__(self) -> None:
        self.nodes: list[GraphNode] = []
        self._weights: dict[str, int] = {}
        self._constants: set[str] = set()
        self._shapes: set[str] = set()

    def read(self, graph: onnx.GraphProto, outer: ChainMap[str, str], prefix: str) -> None:
        scope = outer.new_child()
        for name, elements in _initializers(graph):
            scope[name] = prefix + name
            self._weights[prefix + name] = elements
        for value in graph.input:
            scope[value.name] = prefix + value.name  # an initializer may be listed among the inputs too
        for node in graph.node:
            self._read_node(node, scope, prefix)

    def _read_node(self, node: onnx.NodeProto, scope: ChainMap[str, str], prefix: str) -> None:
        reads = tuple(scope.get(name, prefix + name) for name in node.input if name)
        makes = tuple(prefix + name for name in node.output if name)
        scope.update({name: prefix + name for name in node.output if name})
        shape_only = node.op_type in _SHAPE_SOURCES or self._computes_on_shapes(reads)
        if shape_only:
            self._shapes.update(makes)
        if node.op_type == "Constant" or (reads and all(self._is_constant(name) for name in reads)):
            self._constants.update(makes)
        data = tuple(name for name in reads if name not in self._weights)
        parameters = sum(self._weights.get(name, 0) for name in set(reads))
        self.nodes.append(GraphNode(node.name, node.op_type, node.domain, data, makes, parameters, shape_only))
        for number, body in enumerate(bodies(node)):
            self.read(body, scope, f"{prefix}{node.name}/{number}/")

    def _computes_on_shapes(self, reads: Iterable[str]) -> bool:
        data = [name for name in reads if not self._is_constant(name)]
        return bool(data) and all(name in self._shapes for name in data)

    def _is_constant(self, name: str) -> bool:
        return name in self._weights or name in self._constants


def _initializers(graph: onnx.GraphProto) -> Iterator[tuple[str, int]]:
    """Names with their number of elements; the declared one for sparse initializers."""
    for tensor in graph.initializer:
        yield tensor.name, prod(tensor.dims)
    for sparse in graph.sparse_initializer:
        yield sparse.values.name, prod(sparse.values.dims)
