"""The line of the numeric check."""

import pytest

from ortolan.v1 import findings_pb2 as pb
from ortolan_server.commands._render_numeric import numeric_text

Y = pb.NumericDifference(output="y", max_abs=1.2e-6, cosine=1.0)
Z = pb.NumericDifference(output="z", max_abs=2.5, cosine=0.98765)
TEXTS = pb.NumericDifference(output="t", max_abs=-1, cosine=-2)


@pytest.mark.parametrize(
    ("check", "line"),
    [
        (pb.NumericCheck(outputs=[Y], samples=3), "max abs 1.2e-06, cosine 1.0000 over 3 made-up samples"),
        (
            pb.NumericCheck(outputs=[Y, Z, TEXTS], samples=1, recorded=True),
            "max abs 2.5, cosine 0.9877 over 1 recorded sample",
        ),
        (pb.NumericCheck(outputs=[TEXTS], samples=2), "texts over 2 made-up samples"),
        (pb.NumericCheck(skipped="Bernoulli draws random numbers"), "not compared: Bernoulli draws random numbers"),
        (pb.NumericCheck(), "no answer to compare"),
    ],
)
def test_the_worst_of_all_outputs(check: pb.NumericCheck, line: str) -> None:
    assert numeric_text(check) == f"numeric  {line}"
