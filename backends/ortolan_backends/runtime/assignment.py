"""The assignment: which node really went to which provider, read back from an open session."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from ortolan_backends.errors import OpenRefused
from ortolan_backends.runtime.graph import GraphNode, ModelGraph, graph_at_partitioning, graph_of
from ortolan_backends.runtime.model import ModelFile
from ortolan_backends.runtime.ort import onnxruntime
from ortolan_backends.runtime.session import Session

__all__ = ["AssignedNode", "Assignment", "ProviderShare", "TensorPlacement", "read_assignment"]

# Providers that change the layout of a node rename it: conv1 -> conv1_token_1.
_LAYOUT_SUFFIX = re.compile(r"_token_\d+$")
# Before 1.31 nodes that a provider had changed the layout of were left out.
_COMPLETE_SINCE = (1, 31)


@dataclass(frozen=True, slots=True)
class AssignedNode:
    """A node as ONNX Runtime assigned it, under its name in the model."""

    name: str
    op_type: str
    domain: str
    provider: str
    """ONNX Runtime's name of the provider."""
    shape_only: bool


@dataclass(frozen=True, slots=True)
class ProviderShare:
    """One provider's part of the model."""

    provider: str
    nodes: tuple[AssignedNode, ...]
    node_share: float
    """Of the nodes that are not shape operators, in [0, 1]; 1 for a lone provider of shape operators only."""
    parameter_share: float | None
    """Of the elements of initializers, counted at each node that reads them, in [0, 1]; None: not known."""
    fragments: int
    effective_options: Mapping[str, str]

    @property
    def operators(self) -> Mapping[str, int]:
        """Number of nodes by operator type, the most frequent first."""
        return dict(Counter(node.op_type for node in self.nodes).most_common())


@dataclass(frozen=True, slots=True)
class TensorPlacement:
    """Where a model's input or output lives."""

    tensor: str
    direction: str
    memory: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """What ONNX Runtime did with a model, by provider in the session's order."""

    session_providers: tuple[str, ...]
    shares: tuple[ProviderShare, ...]
    """Only of providers that have nodes."""
    crossings: int | None
    """Distinct tensors that go from one provider's node to another's; None: not known."""
    placements: tuple[TensorPlacement, ...]
    method: str
    complete: bool

    @property
    def nodes(self) -> tuple[AssignedNode, ...]:
        return tuple(node for share in self.shares for node in share.nodes)

    def count(self, provider: str) -> int:
        """Nodes on the provider, by ONNX Runtime's name."""
        return sum(len(share.nodes) for share in self.shares if share.provider == provider)

    def node_share(self, providers: Iterable[str]) -> float:
        """Share of the nodes that are on any of `providers`, shape operators not counted.

        A model of shape operators alone is counted by all its nodes; a model without nodes, which
        constant folding can leave, counts as kept (1.0).
        """
        wanted = set(providers)
        counted = [node for node in self.nodes if not node.shape_only] or list(self.nodes)
        if not counted:
            return 1.0
        return sum(node.provider in wanted for node in counted) / len(counted)


def read_assignment(session: Session, model: ModelFile, compiling: Iterable[str]) -> Assignment:
    """Reads where the nodes of an open session are.

    `compiling` names the providers (by ONNX Runtime's names) that fuse nodes into compiled subgraphs: their
    fragments are the subgraphs that ONNX Runtime reports; those of others are counted as switches in
    topological order. Raises OpenRefused when nothing is on record, although the model has nodes.
    """
    recorded = [(subgraph.ep_name, subgraph.get_nodes()) for subgraph in session.assigned_subgraphs()]
    takers = {provider for provider, natives in recorded if natives}
    mixed = len(takers) > 1
    # One provider that has everything needs no second look; a record without nodes does.
    at_partitioning = None if len(takers) == 1 else graph_at_partitioning(model, session.optimization_level)
    if not takers and (at_partitioning is None or at_partitioning.nodes):
        raise OpenRefused("ONNX Runtime recorded no node, and the model has some", stage="read")
    graph = at_partitioning or graph_of(model.proto)
    subgraphs = [
        (provider, tuple(_in_model(native.name, graph) for native in natives), natives)
        for provider, natives in recorded
    ]
    owners = {name: provider for provider, names, _ in subgraphs for name in names}
    unmatched = sorted(name for name in owners if name not in graph.nodes) if mixed else []
    nodes = [
        AssignedNode(name, native.op_type, native.domain, provider, _shape_only(graph, name, native.op_type))
        for provider, names, natives in subgraphs
        for name, native in zip(names, natives, strict=True)
    ]
    exact = at_partitioning is not None and not unmatched
    compiled = Counter(provider for provider, _, _ in subgraphs)
    fragments = {
        **_switches(graph, owners),
        **{provider: compiled[provider] for provider in compiling if provider in compiled},
    }
    return Assignment(
        session_providers=session.providers,
        shares=_shares(session, nodes, graph, fragments),
        crossings=count_crossings(graph, owners) if exact or not mixed else None,
        placements=_placements(session),
        method=_method(at_partitioning is not None or not mixed, unmatched),
        complete=_records_all() and not unmatched and (exact or not mixed),
    )


def count_crossings(graph: ModelGraph, owners: Mapping[str, str]) -> int:
    """Distinct tensors whose maker and some reader are on different providers."""
    maker = {tensor: owners.get(node.name) for node in graph.nodes.values() for tensor in node.makes}
    return len(
        {
            tensor
            for node in graph.nodes.values()
            for tensor in node.reads
            if (provider := owners.get(node.name)) and maker.get(tensor) and maker[tensor] != provider
        }
    )


def _in_model(name: str, graph: ModelGraph) -> str:
    """The node's name in the model, where it can itself end like a renamed one's."""
    return name if name in graph.nodes else _LAYOUT_SUFFIX.sub("", name)


def _shape_only(graph: ModelGraph, name: str, op_type: str) -> bool:
    node: GraphNode | None = graph.nodes.get(name)
    return node.shape_only if node else op_type in {"Shape", "Size"}


def _switches(graph: ModelGraph, owners: Mapping[str, str]) -> dict[str, int]:
    """Runs of one provider's nodes in topological order, by provider; unknown nodes do not interrupt."""
    sequence = [owners[name] for name in graph.nodes if name in owners]
    return Counter(provider for provider, _ in groupby(sequence))


def _shares(
    session: Session, nodes: Sequence[AssignedNode], graph: ModelGraph, fragments: Mapping[str, int]
) -> tuple[ProviderShare, ...]:
    by_provider: dict[str, list[AssignedNode]] = defaultdict(list)
    for node in nodes:
        by_provider[node.provider].append(node)
    weights = {
        provider: sum(graph.nodes[node.name].parameters for node in group if node.name in graph.nodes)
        for provider, group in by_provider.items()
    }
    total_weight = sum(weights.values())
    counted = [node for node in nodes if not node.shape_only] or list(nodes)
    in_order = [name for name in session.providers if name in by_provider]
    in_order += [name for name in by_provider if name not in in_order]
    options = session.provider_options
    return tuple(
        ProviderShare(
            provider=provider,
            nodes=tuple(by_provider[provider]),
            node_share=sum(node.provider == provider for node in counted) / len(counted),
            parameter_share=1.0 if len(in_order) == 1 else weights[provider] / total_weight if total_weight else None,
            fragments=fragments.get(provider, 0),
            effective_options=options.get(provider, {}),
        )
        for provider in in_order
    )


def _placements(session: Session) -> tuple[TensorPlacement, ...]:
    directions = (("input", session.inputs), ("output", session.outputs))
    return tuple(
        TensorPlacement(tensor.name, direction, tensor.memory)
        for direction, tensors in directions
        for tensor in tensors
    )


def _records_all() -> bool:
    major, minor = onnxruntime.__version__.split(".")[:2]
    return (int(major), int(minor)) >= _COMPLETE_SINCE


def _method(graph_known: bool, unmatched: Sequence[str]) -> str:  # noqa: FBT001 - private, called once
    parts = [f"recorded by ONNX Runtime {onnxruntime.__version__} at partitioning, after level-1 optimisation"]
    if not _records_all():
        parts.append("versions before 1.31 can leave out nodes whose layout a provider changed")
    if not graph_known:
        parts.append("the graph of that moment could not be had: crossings are not known")
    if unmatched:
        parts.append(f"{len(unmatched)} nodes have no counterpart in the graph: {', '.join(unmatched[:5])}")
    return "; ".join(parts)
