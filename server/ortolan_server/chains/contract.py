"""The contract of a model and its judgement: pure functions of the assignment."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from ortolan_backends.runtime.assignment import Assignment
from ortolan_server.chains.drift import Drift

__all__ = ["CPU", "Contract", "Verdict", "VerdictState", "judge", "runs_on_cpu"]

CPU = "CPUExecutionProvider"

# Where the arithmetic of common models is: left on a lower rung they decide the speed.
_HEAVY = frozenset(
    {
        "Attention",
        "Conv",
        "ConvInteger",
        "ConvTranspose",
        "Einsum",
        "FusedConv",
        "FusedMatMul",
        "GRU",
        "Gemm",
        "LSTM",
        "MatMul",
        "MatMulInteger",
        "MatMulNBits",
        "MultiHeadAttention",
        "QAttention",
        "QLinearConv",
        "QLinearMatMul",
        "RNN",
    }
)


class VerdictState(StrEnum):
    """KEPT: the contract is satisfied. DEGRADED: it is not, and it serves all the same. BROKEN: it does not serve."""

    KEPT = "KEPT"
    DEGRADED = "DEGRADED"
    BROKEN = "BROKEN"


@dataclass(frozen=True, slots=True)
class Contract:
    """What the owner of a model demands of its assignment."""

    providers: Mapping[str, str]
    """Providers that keep it: short name → ONNX Runtime's name."""
    node_share: float
    """Least share of nodes on them, in [0, 1], shape operators not counted."""
    forbid_on_cpu: frozenset[str] = frozenset()
    """Operator types."""
    otherwise: Literal["fail", "degrade"] = "fail"
    on_drift: Literal["refuse", "degrade", "warn"] = "refuse"
    """What becomes of a session that runs nodes further down than the model's assignment.lock says."""
    implied: bool = False
    """No [require] was written: rung 1 or nothing."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reasons` say why the contract is not kept; `warnings` are worth knowing all the same."""

    state: VerdictState
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    stage: Literal["contract", "lock"] = "contract"
    """Of one that is not KEPT: which of the two decided it."""

    @property
    def sentence(self) -> str:
        """Reasons, else warnings, on one line."""
        return "; ".join(self.reasons or self.warnings)


def judge(assignment: Assignment, contract: Contract, provider: str, drift: Drift | None = None) -> Verdict:
    """Holds the assignment of a session against the contract, and its drift against what the lock allows.

    `provider` is the serving rung's, by short name; `drift` is from the model's assignment.lock, None without one.
    DEGRADED may serve, but a rung that is KEPT goes before it; BROKEN must not, whatever the other rungs are.
    """
    breaches = _breaches(assignment, contract, provider)
    moved = (drift.sentence("assignment.lock says"),) if drift and drift.moved_down else ()
    reasons = breaches if contract.on_drift == "warn" else (*breaches, *moved)
    if breaches and contract.otherwise == "fail":
        return Verdict(VerdictState.BROKEN, reasons)
    if moved and contract.on_drift == "refuse":
        return Verdict(VerdictState.BROKEN, reasons, stage="lock")
    warnings = (*(moved if contract.on_drift == "warn" else ()), *_stale(drift))
    if reasons:
        return Verdict(VerdictState.DEGRADED, reasons, warnings, "contract" if breaches else "lock")
    return Verdict(VerdictState.KEPT, warnings=(*_heavy_elsewhere(assignment, contract), *warnings))


def _breaches(assignment: Assignment, contract: Contract, provider: str) -> tuple[str, ...]:
    """What of the contract is not kept, each as a reason."""
    reasons = []
    wanted = ", ".join(contract.providers)
    share = assignment.node_share(contract.providers.values())
    if provider not in contract.providers:
        reasons.append(f"it would run on {provider}, and the contract wants {wanted}")
    elif share < contract.node_share:
        reasons.append(
            f"{share:.1%} of the nodes are on {wanted}, and the contract wants at least {contract.node_share:.1%}"
        )
    on_cpu = Counter(
        node.op_type for node in assignment.nodes if node.provider == CPU and node.op_type in contract.forbid_on_cpu
    )
    if on_cpu:
        reasons.append(f"on the CPU, where the contract forbids them: {_counts(on_cpu)}")
    return tuple(reasons)


def _stale(drift: Drift | None) -> tuple[str, ...]:
    if drift is None or not drift.of_another_model:
        return ()
    return ("assignment.lock is of another model: under half of the nodes have their names in it",)


def _heavy_elsewhere(assignment: Assignment, contract: Contract) -> tuple[str, ...]:
    """Heavy operators that a contract without [require] let pass."""
    if not contract.implied:
        return ()
    left = Counter(
        (node.op_type, node.provider)
        for node in assignment.nodes
        if node.provider not in contract.providers.values() and node.op_type in _HEAVY
    )
    by_provider: dict[str, Counter[str]] = {}
    for (operator, provider), number in left.items():
        by_provider.setdefault(provider, Counter())[operator] = number
    return tuple(
        f"heavy operators left to {provider}: {_counts(operators)}" for provider, operators in by_provider.items()
    )


def _counts(operators: Counter[str]) -> str:
    return ", ".join(f"{number} {operator}" for operator, number in operators.most_common())


def runs_on_cpu(assignment: Assignment | None) -> bool:
    """Has no other provider a node? Then a run ends by itself, however long it takes."""
    return all(share.provider == CPU for share in (assignment.shares if assignment else ()))
