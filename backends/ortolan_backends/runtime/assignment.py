"""The assignment: which node really went to which provider, read back from an open session."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from ortolan_backends.runtime.graph import GraphNode, ModelGraph
from ortolan_backends.runtime.model import ModelFile
from ortolan_backends.runtime.record import RecordedNode, read_record
from ortolan_backends.runtime.session import Session

__all__ = ["AssignedNode", "Assignment", "ProviderShare", "TensorPlacement", "read_assignment"]


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
    compiled = set(compiling)
    record = read_record(session, model, compiled)
    nodes = [_assigned(node, record.graph) for node in record.nodes]
    fragments = {
        **_switches(record.graph, record.owners),
        **{provider: count for provider, count in record.subgraphs.items() if provider in compiled},
    }
    return Assignment(
        session_providers=session.providers,
        shares=_shares(session, nodes, record.graph, fragments),
        crossings=count_crossings(record.graph, record.owners) if record.knows_all else None,
        placements=_placements(session),
        method=record.method,
        complete=record.complete,
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


def _assigned(node: RecordedNode, graph: ModelGraph) -> AssignedNode:
    known: GraphNode | None = graph.nodes.get(node.name)
    shape_only = known.shape_only if known else node.op_type in {"Shape", "Size"}
    return AssignedNode(node.name, node.op_type, node.domain, node.provider, shape_only)


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
