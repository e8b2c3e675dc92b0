"""Whether a reload would make things worse: a pure comparison of what runs with what was loaded aside."""

from ortolan_server.chains.contract import VerdictState
from ortolan_server.chains.drift import compare
from ortolan_server.chains.report import ChainReport

__all__ = ["why_worse"]

_SHARE_MARGIN = 0.01
"""A model whose nodes have other names was changed: by so much its share of nodes may fall with that."""


def why_worse(running: ChainReport, fresh: ChainReport) -> str:
    """Why the assignment of a fresh load is worse than that of the version that serves; empty: it is not.

    Worse is a contract that is kept no more, a lower rung of the same chain, a node of the same name that moved down
    (see `drift.compare`), or, of a model with other nodes, a smaller share of them on the provider of its rung.
    """
    if running.assignment is None or fresh.assignment is None:
        return ""
    reasons = []
    if (running.verdict.state, fresh.verdict.state) == (VerdictState.KEPT, VerdictState.DEGRADED):
        reasons.append(f"its contract would be kept no more: {fresh.verdict.sentence}")
    if running.chain.names == fresh.chain.names and fresh.rung > running.rung:
        reasons.append(
            f"it would run at rung {fresh.rung} ({fresh.provider}) instead of rung {running.rung} ({running.provider})"
        )
    now = running.chain.place(running.rung, running.assignment)
    then = fresh.chain.place(fresh.rung, fresh.assignment)
    drift = compare(now, then)
    if drift.moved_down:
        reasons.append(drift.sentence("now"))
    if drift.of_another_model and then.serving_share < now.serving_share - _SHARE_MARGIN:
        reasons.append(
            f"{then.serving_share:.1%} of its nodes would be on {fresh.provider}, "
            f"where {now.serving_share:.1%} are on {running.provider} now"
        )
    return "; ".join(reasons)
