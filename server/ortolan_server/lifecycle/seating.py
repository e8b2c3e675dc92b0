"""How an engine may use a session: by where its nodes are."""

import math

from ortolan_server.chains.contract import runs_on_cpu
from ortolan_server.engine.serving import Serving
from ortolan_server.engine.statistics import Statistics
from ortolan_server.lifecycle.opening import OpenModel
from ortolan_server.repository import Failover

__all__ = ["serving_on"]


def serving_on(opened: OpenModel, statistics: Statistics, failover: Failover) -> Serving:
    """The session of a model that was opened, with what its device allows.

    A run on the CPU ends: one that is long is only told of, and short ones may be made on the thread that received
    their calls. On a device it may hang, and would take that thread, and with it the server, along.
    """
    report = opened.report
    assert report.session is not None  # noqa: S101 - who calls has looked
    on_cpu = runs_on_cpu(report.assignment)
    return Serving(
        report.session,
        statistics,
        may_run_inline=on_cpu and opened.is_predictable,
        hang_after_s=math.inf if on_cpu else failover.hang_after_s,
        report_after_s=failover.hang_after_s,
    )
