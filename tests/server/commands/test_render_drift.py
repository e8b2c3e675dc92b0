"""The lines of a drift, and where they stand in an assignment."""

import io

from rich.console import Console

from ortolan.v1 import findings_pb2 as found
from ortolan.v1 import provider_reflection_pb2 as pb
from ortolan_server.commands._render import render_assignment
from ortolan_server.commands._render_drift import drift_lines

DRIFT = found.Drift(
    moved_down=[
        found.MovedNode(name="conv", op_type="Conv", from_provider="cuda", to_provider="cpu"),
        found.MovedNode(name="b", op_type="Add", from_provider="tensorrt", to_provider="cuda"),
    ],
    moved_up=[found.MovedNode(name="c", op_type="Mul", from_provider="cpu", to_provider="cuda")],
    added=["new"],
    removed=["old"],
    differences=["driver: 580.82, now 590.1"],
)


def text(assignment: pb.Assignment) -> str:
    stream = io.StringIO()
    Console(file=stream, width=80, highlight=False).print(render_assignment(assignment))
    return stream.getvalue()


def test_a_line_for_each() -> None:
    assert [line.plain for line in drift_lines(DRIFT)] == [
        "- conv (Conv)  cuda → cpu",
        "- b (Add)      tensorrt → cuda",
        "+ c (Mul)  cpu → cuda",
        "~ node new is new",
        "~ node old is gone",
        "~ driver: 580.82, now 590.1",
    ]


def test_nothing_moved_is_said() -> None:
    assert [line.plain for line in drift_lines(found.Drift(policy="refuse"))] == ["as in assignment.lock"]


def test_an_assignment_shows_it_where_there_is_a_lock() -> None:
    assert "lock" not in text(pb.Assignment(model="m"))
    assert "lock       as in assignment.lock" in text(pb.Assignment(model="m", drift=found.Drift()))
    assert "lock       - conv (Conv)  cuda → cpu" in text(pb.Assignment(model="m", drift=DRIFT))


def test_a_long_one_is_cut() -> None:
    long = text(pb.Assignment(model="m", drift=found.Drift(added=[f"n{number}" for number in range(15)])))
    assert "~ node n11 is new" in long
    assert "n12" not in long
    assert "and 3 more lines: ortolan plan --locked" in long
