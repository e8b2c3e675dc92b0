"""The numeric check as a message: what is not known has a number that no figure has."""

from ortolan.v1 import findings_pb2 as pb
from ortolan_server.chains.numeric import NumericCheck
from ortolan_server.services.numeric import numeric_message
from ortolan_server.tensors.difference import Difference

TEXTS = Difference(
    output="t", max_abs=None, max_rel=None, cosine=None, top1_agreement=None, equal=True, within_tolerance=True
)
NUMBERS = Difference(
    output="y", max_abs=0.5, max_rel=0.25, cosine=0.75, top1_agreement=0.0, equal=False, within_tolerance=False
)


def test_figures_and_those_that_there_are_not() -> None:
    message = numeric_message(NumericCheck((NUMBERS, TEXTS), samples=3, recorded=True, fault="output 'y': max abs 0.5"))
    assert message == pb.NumericCheck(
        outputs=[
            pb.NumericDifference(output="y", max_abs=0.5, max_rel=0.25, cosine=0.75),
            pb.NumericDifference(
                output="t", max_abs=-1, max_rel=-1, cosine=-2, top1_agreement=-1, within_tolerance=True
            ),
        ],
        samples=3,
        recorded=True,
    )


def test_what_was_skipped() -> None:
    assert numeric_message(NumericCheck(skipped="why")) == pb.NumericCheck(skipped="why")
