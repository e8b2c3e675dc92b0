"""ONNX Runtime's record of what it assigned, held against the graph that it partitioned.

The record is not the graph. For a provider that wants another layout, ONNX Runtime replaces nodes by renamed ones, puts
transposes in between, and cancels those of the model against them. Versions before 1.31 left out all nodes of such a
provider but those that were put in (seen with WebGPU in 1.27.0; of the CPU's nodes none was missing).
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ortolan_backends.errors import OpenRefused, UnservableModel
from ortolan_backends.runtime.graph import ModelGraph, graph_at_partitioning, graph_of
from ortolan_backends.runtime.model import ModelFile
from ortolan_backends.runtime.ort import onnxruntime
from ortolan_backends.runtime.session import Session

__all__ = ["Record", "RecordedNode", "read_record"]

_CPU = "CPUExecutionProvider"
# A node whose layout a provider changed is of this domain, and renamed: conv1 -> conv1_token_1.
_NHWC_DOMAIN = "com.ms.internal.nhwc"
_RENAMED = re.compile(r"_token_\d+$")
_TRANSPOSE = "Transpose"
_COMPLETE_SINCE = (1, 31)
_LISTED = 5
_SHOWN_BYTES = 80


@dataclass(frozen=True, slots=True)
class RecordedNode:
    """A node under its name in the model, with ONNX Runtime's name of its provider."""

    name: str
    op_type: str
    domain: str
    provider: str


@dataclass(frozen=True, slots=True)
class Record:
    """Where the model's nodes are, and how far that is known."""

    nodes: tuple[RecordedNode, ...]
    graph: ModelGraph
    """The one that was partitioned where `at_partitioning` says so, else the file's."""
    subgraphs: Mapping[str, int]
    """By provider, as ONNX Runtime reports them."""
    at_partitioning: bool = False
    """The graph was made again as it was when it was partitioned."""
    lone: bool = False
    """One provider has everything, and nothing was left to find out."""
    inserted: tuple[str, ...] = ()
    """Nodes that ONNX Runtime put in to change layouts. Not among `nodes`."""
    removed: tuple[str, ...] = ()
    """Transposes of the model that were cancelled against those. Not in `graph`."""
    strangers: tuple[str, ...] = ()
    """Among `nodes`, and without a counterpart in the graph."""
    missing: tuple[str, ...] = ()
    """Nodes of the graph whose provider is not known."""
    eliminated: int = 0
    """Nodes that are not on record: their provider is the only one they can be on."""

    @property
    def owners(self) -> dict[str, str]:
        """Providers by name of node."""
        return {node.name: node.provider for node in self.nodes}

    @property
    def knows_all(self) -> bool:
        """Every node of the graph that was partitioned has its provider, on record or by elimination."""
        return self.lone or (self.at_partitioning and not self.missing and not self.strangers)

    @property
    def complete(self) -> bool:
        """ONNX Runtime's own record has every node."""
        return self.knows_all and not self.eliminated

    @property
    def method(self) -> str:
        """How it was read, and what is not known, as one sentence."""
        parts = [f"recorded by ONNX Runtime {onnxruntime.__version__} at partitioning, after level-1 optimisation"]
        if self.eliminated:
            parts.append(
                f"of {self.eliminated} nodes there is no record, since ONNX Runtime before 1.31 leaves out those of a "
                "provider that changes layouts: they are on it by elimination"
            )
        if self.inserted:
            parts.append(f"nodes that ONNX Runtime put in to change layouts are not counted ({len(self.inserted)})")
        if self.removed:
            parts.append(f"transposes of the model that it cancelled against those are gone ({len(self.removed)})")
        if not self.lone and not self.at_partitioning:
            parts.append("the graph of that moment could not be had: crossings are not known")
        if self.missing:
            parts.append(f"{len(self.missing)} nodes of the graph are not on record: {_listed(self.missing)}")
        if self.strangers:
            parts.append(f"{len(self.strangers)} nodes have no counterpart in the graph: {_listed(self.strangers)}")
        return "; ".join(parts)


def read_record(session: Session, model: ModelFile, compiling: Collection[str]) -> Record:
    """Reads the record of an open session; `compiling` names the providers that fuse nodes into subgraphs.

    Raises OpenRefused when nothing is on record, although the model has nodes.
    """
    subgraphs = [(subgraph.ep_name, subgraph.get_nodes()) for subgraph in session.assigned_subgraphs()]
    natives = [(provider, native) for provider, group in subgraphs for native in group]
    file_graph = graph_of(model.proto)
    record = Record(_in_model(natives, file_graph), file_graph, Counter(provider for provider, _ in subgraphs))
    if _is_lone(session, natives, file_graph):
        return replace(record, lone=True)
    partitioned = graph_at_partitioning(model, session.optimization_level)
    if partitioned is not None:
        record = replace(record, nodes=_in_model(natives, partitioned), graph=partitioned, at_partitioning=True)
        record = _held_against_graph(record, _left_out_by_old_versions(session, compiling))
    if not record.nodes and record.graph.nodes:
        raise OpenRefused("ONNX Runtime recorded no node, and the model has some", stage="read")
    return record


def _is_lone(session: Session, natives: Sequence[tuple[str, Any]], file_graph: ModelGraph) -> bool:
    """Whether one provider is known to have everything: no second look at the graph is needed then."""
    if len({provider for provider, _ in natives}) != 1:
        return False
    names = [native.name for _, native in natives]
    if Counter(names) == Counter(file_graph.nodes):
        return True  # the file's nodes, each once
    changed = any(native.domain == _NHWC_DOMAIN for _, native in natives)
    return session.providers == (_CPU,) or (_records_all() and not changed)


def _held_against_graph(record: Record, left_out: str) -> Record:
    """The record and the graph that was partitioned, node by node.

    `left_out`, if any, is the provider whose nodes the record may lack: what is missing is there.
    """
    known = {node.name: node for node in reversed(record.nodes) if node.name in record.graph.nodes}
    unknown = [node for node in record.nodes if known.get(node.name) is not node]
    missing = tuple(name for name in record.graph.nodes if name not in known)
    nodes = tuple(node for node in record.nodes if known.get(node.name) is node)
    names = tuple(node.name for node in unknown)
    if not all(_is_named_by_onnxruntime(node) for node in unknown):
        return replace(record, strangers=names, missing=missing)
    if missing and left_out:
        rest = tuple(_from_graph(record.graph, name, left_out) for name in missing)
        return replace(record, nodes=(*rest, *nodes), inserted=names, eliminated=len(rest))
    if names and all(record.graph.nodes[name].op_type == _TRANSPOSE for name in missing):
        graph = without_transposes(record.graph, missing)
        return replace(record, nodes=nodes, graph=graph, inserted=names, removed=missing)
    return replace(record, nodes=nodes, inserted=names, missing=missing)


def without_transposes(graph: ModelGraph, names: Collection[str]) -> ModelGraph:
    """The graph with those nodes taken out, each with one input that its readers read then."""
    instead = {graph.nodes[name].makes[0]: graph.nodes[name].reads[0] for name in names}

    def source(tensor: str) -> str:
        while tensor in instead:
            tensor = instead[tensor]
        return tensor

    return ModelGraph(
        {
            name: replace(node, reads=tuple(source(tensor) for tensor in node.reads))
            for name, node in graph.nodes.items()
            if name not in names
        }
    )


def _is_named_by_onnxruntime(node: RecordedNode) -> bool:
    """Nodes that it puts in are called after their operator: Transpose, Transpose_token_3.

    Nodes of the model that had no name were given others by us.
    """
    return _RENAMED.sub("", node.name) == node.op_type


def _left_out_by_old_versions(session: Session, compiling: Collection[str]) -> str:
    """The provider whose nodes an old version's record may leave out, where only one can be; else empty."""
    others = [provider for provider in session.providers if provider != _CPU]
    if _records_all() or len(others) != 1 or others[0] in compiling:
        return ""
    return others[0]


def _in_model(natives: Iterable[tuple[str, Any]], graph: ModelGraph) -> tuple[RecordedNode, ...]:
    """The nodes under their names in the model."""
    try:
        return tuple(_node(provider, native, graph) for provider, native in natives)
    except UnicodeDecodeError as error:  # protobuf takes any bytes for a name
        name = error.object[:_SHOWN_BYTES]
        raise UnservableModel(f"the model has a name that is not UTF-8 text: {name!r}", stage="read") from error


def _node(provider: str, native: Any, graph: ModelGraph) -> RecordedNode:  # noqa: ANN401 - onnxruntime has no types
    name = _RENAMED.sub("", native.name) if native.domain == _NHWC_DOMAIN else native.name
    if name not in graph.nodes:
        return RecordedNode(native.name, native.op_type, native.domain, provider)
    domain = graph.nodes[name].domain if native.domain == _NHWC_DOMAIN else native.domain
    return RecordedNode(name, native.op_type, domain, provider)


def _from_graph(graph: ModelGraph, name: str, provider: str) -> RecordedNode:
    node = graph.nodes[name]
    return RecordedNode(name, node.op_type, node.domain, provider)


def _records_all() -> bool:
    major, minor = onnxruntime.__version__.split(".")[:2]
    return (int(major), int(minor)) >= _COMPLETE_SINCE


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_LISTED]) + (", …" if len(names) > _LISTED else "")
