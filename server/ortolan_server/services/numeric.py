"""The numeric check of an attempt, as a message of `ortolan.v1`."""

from ortolan.v1 import findings_pb2 as pb
from ortolan_server.chains.numeric import NumericCheck
from ortolan_server.tensors.difference import Difference

__all__ = ["numeric_message"]


def numeric_message(check: NumericCheck) -> pb.NumericCheck:
    return pb.NumericCheck(
        outputs=[_difference(found) for found in check.outputs],
        samples=check.samples,
        recorded=check.recorded,
        skipped=check.skipped,
    )


def _difference(found: Difference) -> pb.NumericDifference:
    return pb.NumericDifference(
        output=found.output,
        max_abs=-1 if found.max_abs is None else found.max_abs,
        max_rel=-1 if found.max_rel is None else found.max_rel,
        cosine=-2 if found.cosine is None else found.cosine,
        top1_agreement=-1 if found.top1_agreement is None else found.top1_agreement,
        within_tolerance=found.within_tolerance,
    )
