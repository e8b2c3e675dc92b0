"""What counts as drift, on placements written by hand."""

import pytest

from ortolan_server.chains.drift import Drift, MovedNode, compare
from tests.server.chains.placements import CHAIN, place


def down(before: str, now: str) -> list[str]:
    return [str(node) for node in compare(place(before), place(now)).moved_down]


def test_the_same_is_no_drift() -> None:
    nodes = "conv Conv tensorrt, relu Relu cuda, shape Shape cpu"
    assert compare(place(nodes), place(nodes)) == Drift()


def test_a_lower_rung_is_down_and_a_higher_one_up() -> None:
    drift = compare(place("a Conv tensorrt, b Relu cpu, c Add cuda"), place("a Conv cuda, b Relu cuda, c Add cpu"))
    assert drift == Drift(
        moved_down=(MovedNode("a", "Conv", "tensorrt", "cuda"), MovedNode("c", "Add", "cuda", "cpu")),
        moved_up=(MovedNode("b", "Relu", "cpu", "cuda"),),
    )


def test_a_provider_that_no_rung_has_is_below_them_all() -> None:
    assert down("a Conv cpu", "a Conv azure") == ["a (Conv) cpu → azure"]
    assert down("a Conv azure", "a Conv cpu") == []


def test_nodes_that_came_and_went_are_named_and_no_drift() -> None:
    drift = compare(place("a Conv cuda, b Relu cuda"), place("b Relu cuda, c Add cpu"))
    assert drift == Drift(added=("c",), removed=("a",))


def test_shape_operators_are_told_apart() -> None:
    drift = compare(place("a Conv cuda, s Shape cuda"), place("a Conv cuda, s Shape cpu"))
    assert drift == Drift(differences=("shape operator s (Shape) cuda → cpu",))


def test_of_a_model_of_shape_operators_alone_they_count() -> None:
    assert down("s Shape cuda, g Gather cpu", "s Shape cpu, g Gather cpu") == ["s (Shape) cuda → cpu"]


def test_a_node_that_begins_to_compute_more_than_shapes_counts() -> None:
    before, now = place("a Conv cuda, s Shape cuda"), place("a Conv cuda, s Concat cpu")
    assert [node.name for node in compare(before, now).moved_down] == ["s"]


def test_one_provider_at_two_rungs() -> None:
    chain = ("openvino", "openvino", "cpu")
    before = place("a Conv openvino@1, b Relu cpu@3", chain=chain)
    now = place("a Conv openvino@2, b Relu cpu@3", chain=chain, rung=2)
    assert [str(node) for node in compare(before, now).moved_down] == [
        "a (Conv) openvino at rung 1 → openvino at rung 2"
    ]
    assert [str(node) for node in compare(now, before).moved_up] == ["a (Conv) openvino at rung 2 → openvino at rung 1"]


@pytest.mark.parametrize(
    ("before", "now", "falls"),
    [
        (("cuda", "cpu"), ("cpu",), True),  # the chain was cut: what it said before counts
        (("cpu",), ("cuda", "cpu"), False),
        (("tensorrt", "cuda"), ("cuda", "tensorrt"), False),  # the owner has turned them round
        (("cuda",), ("tensorrt",), True),  # nothing says which is better: it is not where it was
    ],
)
def test_another_chain(before: tuple[str, ...], now: tuple[str, ...], falls: bool) -> None:  # noqa: FBT001
    first, second = place(f"a Conv {before[0]}", chain=before), place(f"a Conv {now[0]}", chain=now)
    drift = compare(first, second)
    assert bool(drift.moved_down) is falls
    assert bool(drift.moved_up) is not falls


def test_another_number_of_the_same_provider_in_another_chain_is_no_move() -> None:
    before = place("a Conv cuda, b Add cpu", chain=CHAIN, rung=2)
    now = place("a Conv cuda, b Add cpu", chain=("cuda", "cpu"))
    assert compare(before, now) == Drift()


@pytest.mark.parametrize(("names", "another"), [("abcd", False), ("abyz", False), ("axyz", True), ("abcdwxyzv", True)])
def test_under_half_of_the_names_are_another_model(names: str, *, another: bool) -> None:
    before = place(", ".join(f"{name} Add cuda" for name in "abcd"))
    now = place(", ".join(f"{name} Add cuda" for name in names))
    assert compare(before, now).of_another_model is another


def test_nothing_is_not_another_model() -> None:
    assert compare(place(""), place("")) == Drift()


def test_the_sentence_names_the_first() -> None:
    before = place(", ".join(f"n{number} Add cuda" for number in range(10)))
    now = place(", ".join(f"n{number} Add cpu" for number in range(10)))
    assert compare(before, before).sentence("before") == ""
    sentence = compare(before, now).sentence("before")
    assert sentence.startswith("10 nodes run further down than before: n0 (Add) cuda → cpu, n1 (Add) cuda → cpu, ")
    assert sentence.endswith("n7 (Add) cuda → cpu and 2 more")
    one = compare(place("a Add cuda"), place("a Add cpu"))
    assert one.sentence("the lock says") == "1 node runs further down than the lock says: a (Add) cuda → cpu"


def test_shares_are_of_what_is_counted() -> None:
    assert place("a Conv cuda, b Add cpu, s Shape cpu, t Gather cpu", rung=2).serving_share == 0.5
    assert place("s Shape tensorrt, t Gather cpu").serving_share == 0.5
    assert place("").serving_share == 1.0
