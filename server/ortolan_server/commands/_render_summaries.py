"""Versions for people, a line for each: what serves where, and why what does not."""

from collections.abc import Iterable, Mapping

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ortolan.v1 import provider_reflection_pb2 as pb
from ortolan_server.commands._styles import DOUBTFUL, QUIET, state_text, verdict_text

__all__ = ["counts_text", "name_text", "render_summaries"]

_NAME_WIDTH = 32  # longer names are folded


def render_summaries(summaries: Iterable[pb.AssignmentSummary]) -> RenderableType:
    """One row for each version, and below the table the reasons of those that have one."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=QUIET)
    summaries = list(summaries)
    longest = max((len(name_text(summary.model, summary.version)) for summary in summaries), default=0)
    table.add_column("MODEL", overflow="fold", no_wrap=longest <= _NAME_WIDTH)
    for heading in ("STATE", "VERDICT", "SERVED BY", "RUNG"):
        table.add_column(heading, no_wrap=True)
    table.add_column("NODES", overflow="fold")
    table.add_column("SHARE", justify="right", no_wrap=True)
    reasons = Table.grid(padding=(0, 2, 0, 0))
    for summary in summaries:
        name = name_text(summary.model, summary.version)
        table.add_row(
            Text(name, "bold"),
            state_text(summary.state),
            verdict_text(summary.verdict),
            summary.serving_provider or Text("-", QUIET),
            _rung(summary),
            counts_text(summary.nodes) or Text("-", QUIET),
            f"{summary.node_share:.1%}" if summary.serving_rung else Text("-", QUIET),
        )
        if summary.reason:
            reasons.add_row(Text(name, "bold"), Text(summary.reason))
    if not table.row_count:
        return Text("no models", QUIET)
    return Group(table, Text(), reasons) if reasons.row_count else table


def name_text(model: str, version: str) -> str:
    """`resnet/1`."""
    return f"{model}/{version}" if version else model


def counts_text(numbers: Mapping[str, int]) -> str:
    """`cuda 120, cpu 3`: the most first."""
    most_first = sorted(numbers.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {number}" for name, number in most_first)


def _rung(summary: pb.AssignmentSummary) -> Text:
    rungs = len(summary.chain.split(",")) if summary.chain else 0
    if not summary.serving_rung:
        return Text("-", QUIET)
    return Text(f"{summary.serving_rung} of {rungs}", "" if summary.serving_rung == 1 else DOUBTFUL)
