"""What is good and bad on a terminal."""

from rich.text import Text

from ortolan.v1 import provider_reflection_pb2 as pb

__all__ = ["BAD", "DOUBTFUL", "GOOD", "QUIET", "state_text", "verdict_text"]

GOOD, DOUBTFUL, BAD, QUIET = "green", "yellow", "bold red", "dim"

_STATES = {"READY": GOOD, "DEGRADED": DOUBTFUL, "FAILED": BAD}
_VERDICTS = {pb.Verdict.KEPT: GOOD, pb.Verdict.DEGRADED: DOUBTFUL, pb.Verdict.BROKEN: BAD}


def verdict_text(verdict: pb.Verdict.State.ValueType) -> Text:
    """`-` where none was given."""
    if verdict == pb.Verdict.UNSPECIFIED:
        return Text("-", QUIET)
    return Text(pb.Verdict.State.Name(verdict), _VERDICTS[verdict])


def state_text(state: str) -> Text:
    """Of a version."""
    return Text(state, _STATES.get(state, QUIET))
