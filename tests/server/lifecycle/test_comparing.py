"""When a reload is worse than what runs, on assignments written by hand."""

from ortolan_backends.runtime.assignment import AssignedNode, Assignment, ProviderShare
from ortolan_backends.runtime.session import OpenRung
from ortolan_server.chains.chain import Chain, Rung
from ortolan_server.chains.contract import Contract, Verdict, VerdictState
from ortolan_server.chains.report import ChainReport
from ortolan_server.lifecycle.comparing import why_worse
from tests.server.chains.fakes import Fake, FakeOptions

KEPT = Verdict(VerdictState.KEPT)
DEGRADED = Verdict(VerdictState.DEGRADED, ("a Conv is on the CPU",))


def report(nodes: str, *, chain: str = "cuda cpu", rung: int = 1, verdict: Verdict = KEPT) -> ChainReport:
    """`report("a:cuda b:cpu s:cpu:Shape")`: the name, provider and, unless it is Add, operator of each node."""
    names = chain.split()
    rungs = tuple(Rung(name, {}, OpenRung(Fake(name, provider=name.upper()), FakeOptions())) for name in names)
    assigned: dict[str, list[AssignedNode]] = {}
    for text in nodes.split():
        name, provider, *operator = text.split(":")
        op_type = operator[0] if operator else "Add"
        node = AssignedNode(name, op_type, "", provider.upper(), op_type == "Shape")
        assigned.setdefault(node.provider, []).append(node)
    shares = tuple(ProviderShare(key, tuple(group), 0.0, None, 1, {}) for key, group in assigned.items())
    assignment = Assignment((), shares, 0, (), "by hand", complete=True)
    contract = Contract({names[0]: names[0].upper()}, 0.5)
    return ChainReport(Chain(rungs, contract, str.lower), (), verdict, None, assignment, rung)


def test_the_same_is_not_worse() -> None:
    assert why_worse(report("a:cuda b:cpu"), report("a:cuda b:cpu")) == ""
    assert why_worse(report("a:cuda", verdict=DEGRADED), report("a:cuda", verdict=DEGRADED)) == ""


def test_better_is_not_worse() -> None:
    assert why_worse(report("a:cpu", rung=2, verdict=DEGRADED), report("a:cuda")) == ""


def test_a_contract_that_is_kept_no_more() -> None:
    why = why_worse(report("a:cuda"), report("a:cuda", verdict=DEGRADED))
    assert why == "its contract would be kept no more: a Conv is on the CPU"


def test_a_lower_rung_of_the_same_chain() -> None:
    why = why_worse(report("s:cuda:Shape a:cpu"), report("s:cpu:Shape a:cpu", rung=2))
    assert why == "it would run at rung 2 (cpu) instead of rung 1 (cuda)"


def test_another_rung_of_another_chain_is_judged_by_its_nodes() -> None:
    assert why_worse(report("a:cuda"), report("a:cuda", chain="tensorrt cuda cpu", rung=2)) == ""


def test_nodes_that_moved_down() -> None:
    why = why_worse(report("a:cuda b:cuda c:cpu"), report("a:cpu b:cuda c:cuda"))
    assert why == "1 node runs further down than now: a (Add) cuda → cpu"


def test_shape_operators_may_move() -> None:
    assert why_worse(report("a:cuda s:cuda:Shape"), report("a:cuda s:cpu:Shape")) == ""


def test_the_share_of_another_model_may_fall_a_little() -> None:
    running = report(" ".join(f"a{number}:cuda" for number in range(100)))
    fresh = " ".join(f"b{number}:cuda" for number in range(99))
    assert why_worse(running, report(f"{fresh} b99:cpu")) == ""
    why = why_worse(running, report(f"{fresh} b99:cpu b100:cpu"))
    assert why == "98.0% of its nodes would be on cuda, where 100.0% are on cuda now"


def test_the_share_of_the_same_model_is_not_asked_for() -> None:
    assert why_worse(report("a:cuda b:cuda"), report("a:cuda b:cuda c:cpu")) == ""


def test_without_an_assignment_there_is_nothing_to_compare() -> None:
    failed = ChainReport(report("").chain, (), KEPT)
    assert why_worse(failed, report("a:cuda")) == ""
    assert why_worse(report("a:cuda"), failed) == ""
