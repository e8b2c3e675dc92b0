"""The judgement, on assignments written by hand."""

from collections.abc import Sequence
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortolan_backends.runtime.assignment import AssignedNode, Assignment, ProviderShare
from ortolan_server.chains.contract import CPU, Contract, Verdict, VerdictState, judge
from ortolan_server.chains.drift import Drift, MovedNode

CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"
SHAPE_OPERATORS = ("Shape", "Gather", "Concat")


def assignment(**operators: Sequence[str]) -> Assignment:
    """`assignment(cuda=["Conv"], cpu=["Relu", "Shape"])`; operators in `SHAPE_OPERATORS` only compute shapes."""
    providers = {"cuda": CUDA, "tensorrt": TENSORRT, "cpu": CPU}
    shares = []
    for short, types in operators.items():
        provider = providers[short]
        nodes = tuple(
            AssignedNode(f"{short}{number}", kind, "", provider, kind in SHAPE_OPERATORS)
            for number, kind in enumerate(types)
        )
        if nodes:
            shares.append(ProviderShare(provider, nodes, 0.0, None, 1, {}))
    return Assignment((), tuple(shares), 0, (), "by hand", complete=True)


def contract(
    *providers: str, node_share: float = 0.5, forbid_on_cpu: frozenset[str] = frozenset(), implied: bool = False
) -> Contract:
    names = {"cuda": CUDA, "tensorrt": TENSORRT, "cpu": CPU}
    return Contract({name: names[name] for name in providers}, node_share, forbid_on_cpu, implied=implied)


def test_all_nodes_on_the_wanted_provider_keep_it() -> None:
    assert judge(assignment(cuda=["Conv", "Relu"]), contract("cuda", node_share=1.0), "cuda") == Verdict(
        VerdictState.KEPT
    )


def test_a_rung_the_contract_does_not_name_breaks_it() -> None:
    verdict = judge(assignment(cpu=["Conv"]), contract("tensorrt", "cuda"), "cpu")
    assert verdict.state is VerdictState.BROKEN
    assert verdict.reasons == ("it would run on cpu, and the contract wants tensorrt, cuda",)


def test_a_rung_the_contract_does_not_name_breaks_it_wherever_the_nodes_are() -> None:
    assert judge(assignment(cuda=["Conv"]), contract("cuda"), "cpu").state is VerdictState.BROKEN


@pytest.mark.parametrize(("wanted", "state"), [(0.75, VerdictState.KEPT), (0.76, VerdictState.BROKEN)])
def test_the_share_is_at_least_what_is_wanted(wanted: float, state: VerdictState) -> None:
    found = assignment(cuda=["Conv", "Relu", "Add"], cpu=["Sigmoid"])
    assert judge(found, contract("cuda", node_share=wanted), "cuda").state is state


def test_too_small_a_share_says_both_numbers() -> None:
    verdict = judge(assignment(cuda=["Conv"], cpu=["Add", "Mul"]), contract("cuda"), "cuda")
    assert verdict.reasons == ("33.3% of the nodes are on cuda, and the contract wants at least 50.0%",)


def test_the_share_of_all_providers_of_the_contract_counts() -> None:
    found = assignment(tensorrt=["Conv"], cuda=["Relu"], cpu=["Add"])
    assert judge(found, contract("tensorrt", "cuda", node_share=0.6), "tensorrt").state is VerdictState.KEPT
    assert judge(found, contract("tensorrt", node_share=0.6), "tensorrt").state is VerdictState.BROKEN


def test_shape_operators_are_not_counted() -> None:
    found = assignment(cuda=["Conv"], cpu=["Shape", "Gather", "Concat"])
    assert judge(found, contract("cuda", node_share=1.0), "cuda").state is VerdictState.KEPT


def test_a_model_of_shape_operators_alone_is_counted_by_all_its_nodes() -> None:
    found = assignment(cuda=["Shape"], cpu=["Gather", "Concat"])
    assert judge(found, contract("cuda"), "cuda").state is VerdictState.BROKEN


def test_a_model_without_nodes_keeps_it() -> None:
    assert judge(assignment(), contract("cuda", node_share=1.0), "cuda").state is VerdictState.KEPT


def test_forbidden_operators_are_counted_by_type() -> None:
    found = assignment(cuda=["Conv"], cpu=["MatMul", "Conv", "Conv", "Add"])
    demanded = contract("cuda", node_share=0.0, forbid_on_cpu=frozenset({"Conv", "MatMul", "Gemm"}))
    verdict = judge(found, demanded, "cuda")
    assert verdict.reasons == ("on the CPU, where the contract forbids them: 2 Conv, 1 MatMul",)


def test_operators_forbidden_on_the_cpu_may_run_elsewhere() -> None:
    found = assignment(cuda=["Conv"], cpu=["Add"])
    assert judge(found, contract("cuda", forbid_on_cpu=frozenset({"Conv"})), "cuda").state is VerdictState.KEPT


def test_every_broken_rule_is_told() -> None:
    found = assignment(cuda=["Relu"], cpu=["Conv", "Conv"])
    verdict = judge(found, contract("cuda", forbid_on_cpu=frozenset({"Conv"})), "cuda")
    assert len(verdict.reasons) == 2
    assert verdict.sentence == "; ".join(verdict.reasons)


def test_heavy_operators_left_behind_are_a_warning_by_provider() -> None:
    found = assignment(tensorrt=["Conv", "Relu", "Relu"], cuda=["Gemm", "Add"], cpu=["MatMul", "MatMul", "LSTM"])
    verdict = judge(found, contract("tensorrt", node_share=0.1, implied=True), "tensorrt")
    assert verdict.state is VerdictState.KEPT
    assert verdict.warnings == (
        f"heavy operators left to {CUDA}: 1 Gemm",
        f"heavy operators left to {CPU}: 2 MatMul, 1 LSTM",
    )
    assert verdict.sentence == "; ".join(verdict.warnings)


def test_light_operators_left_behind_are_no_warning() -> None:
    found = assignment(cuda=["Conv", "Relu"], cpu=["Add"])
    assert judge(found, contract("cuda", implied=True), "cuda").warnings == ()


def test_a_written_contract_has_said_what_matters() -> None:
    found = assignment(cuda=["Conv", "Relu"], cpu=["MatMul"])
    assert judge(found, contract("cuda"), "cuda").warnings == ()


_operators = st.lists(st.sampled_from(["Conv", "Relu", "MatMul", *SHAPE_OPERATORS]), max_size=6)


@given(cuda=_operators, cpu=_operators, low=st.floats(0, 1), high=st.floats(0, 1))
def test_a_contract_that_wants_less_is_kept_wherever_a_stricter_one_is(
    cuda: list[str], cpu: list[str], low: float, high: float
) -> None:
    found = assignment(cuda=cuda, cpu=cpu)
    low, high = sorted((low, high))
    strict = judge(found, contract("cuda", node_share=high, forbid_on_cpu=frozenset({"Conv"})), "cuda")
    if strict.state is VerdictState.KEPT:
        assert judge(found, contract("cuda", node_share=low), "cuda").state is VerdictState.KEPT
        assert "Conv" not in cpu
    else:
        assert strict.reasons


MOVED = Drift(moved_down=(MovedNode("conv", "Conv", "tensorrt", "cuda"),))
TOLD = "1 node runs further down than assignment.lock says: conv (Conv) tensorrt → cuda"


def on_drift(
    policy: Literal["refuse", "degrade", "warn"], otherwise: Literal["fail", "degrade"], *, kept: bool, drift: Drift
) -> Verdict:
    """The verdict on one Conv on CUDA, which the contract allows if `kept`."""
    wanted = {"cuda": CUDA} if kept else {"tensorrt": TENSORRT}
    terms = Contract(wanted, 0.5, otherwise=otherwise, on_drift=policy)
    return judge(assignment(cuda=["Conv"]), terms, "cuda", drift)


@pytest.mark.parametrize("otherwise", ["fail", "degrade"])
def test_nodes_that_moved_down_are_refused_whatever_the_contract_says(otherwise: Literal["fail", "degrade"]) -> None:
    verdict = on_drift("refuse", otherwise, kept=True, drift=MOVED)
    assert verdict == Verdict(VerdictState.BROKEN, (TOLD,), stage="lock")


def test_a_contract_that_may_be_broken_does_not_excuse_drift() -> None:
    verdict = on_drift("refuse", "degrade", kept=False, drift=MOVED)
    assert (verdict.state, verdict.stage) == (VerdictState.BROKEN, "lock")
    assert verdict.reasons == ("it would run on cuda, and the contract wants tensorrt", TOLD)


def test_a_broken_contract_comes_first() -> None:
    for policy in ("refuse", "degrade", "warn"):
        verdict = on_drift(policy, "fail", kept=False, drift=MOVED)
        assert (verdict.state, verdict.stage) == (VerdictState.BROKEN, "contract")


def test_drift_may_degrade_what_keeps_the_contract() -> None:
    assert on_drift("degrade", "fail", kept=True, drift=MOVED) == Verdict(VerdictState.DEGRADED, (TOLD,), stage="lock")
    both = on_drift("degrade", "degrade", kept=False, drift=MOVED)
    assert (both.state, both.stage) == (VerdictState.DEGRADED, "contract")
    assert both.reasons[1:] == (TOLD,)


def test_drift_may_be_a_warning_only() -> None:
    assert on_drift("warn", "fail", kept=True, drift=MOVED) == Verdict(VerdictState.KEPT, warnings=(TOLD,))
    broken = on_drift("warn", "degrade", kept=False, drift=MOVED)
    assert broken.state is VerdictState.DEGRADED
    assert broken.warnings == (TOLD,)


def test_without_drift_the_lock_has_no_say() -> None:
    up = Drift(moved_up=MOVED.moved_down, added=("a",), removed=("b",), differences=("versions",))
    assert on_drift("refuse", "fail", kept=True, drift=up) == Verdict(VerdictState.KEPT)
    assert on_drift("refuse", "degrade", kept=False, drift=up).state is VerdictState.DEGRADED


def test_a_lock_of_another_model_is_warned_about() -> None:
    verdict = on_drift("refuse", "fail", kept=True, drift=Drift(of_another_model=True))
    assert verdict.state is VerdictState.KEPT
    assert verdict.warnings == ("assignment.lock is of another model: under half of the nodes have their names in it",)
