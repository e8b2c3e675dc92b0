"""An assignment for people: what was asked for, what became of it, and why.

Every line stands at 80 columns, and means the same without colours.
"""

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ortolan.v1 import findings_pb2 as found
from ortolan.v1 import provider_reflection_pb2 as pb
from ortolan_server.commands._render_drift import drift_lines
from ortolan_server.commands._render_events import events_lines
from ortolan_server.commands._render_numeric import numeric_text
from ortolan_server.commands._render_summaries import counts_text, name_text
from ortolan_server.commands._styles import BAD, DOUBTFUL, GOOD, QUIET, state_text, verdict_text
from ortolan_server.units import counted, size_text

__all__ = ["render_assignment"]

_ATTEMPTS = {
    pb.Attempt.OPENED: ("✓", GOOD),
    pb.Attempt.REFUSED: ("✗", BAD),
    pb.Attempt.NOT_NEEDED: ("·", QUIET),
}
_CACHE = {"HIT": GOOD}
_LABEL_WIDTH = 9
_BAR_WIDTH = 10
_NODES_NAMED = 8
_LOG_LINES = 5
_DRIFT_LINES = 12


def _cache(use: found.CacheUse) -> Text:
    """`cache HIT  12.3 MiB`, and why where there is a reason."""
    word = found.CacheUse.Result.Name(use.result)
    size = f"  {size_text(use.bytes)}" if use.bytes else ""
    reason = f"  {use.reason}" if use.reason else ""
    return Text.assemble("cache ", (word, _CACHE.get(word, DOUBTFUL)), (size, QUIET), reason)


def render_assignment(assignment: pb.Assignment) -> RenderableType:
    """All of it, top to bottom: chain, contract, attempts, nodes, memory, options, verdict."""
    sections = Table.grid(padding=(0, 2, 0, 0))
    sections.add_column(style=QUIET, width=_LABEL_WIDTH, no_wrap=True)
    sections.add_column()
    parts: list[tuple[str, list[RenderableType]]] = [
        ("chain", _chain(assignment)),
        ("contract", _contract(assignment)),
        ("attempts", _attempts(assignment)),
        ("nodes", _nodes(assignment)),
        ("memory", _memory(assignment)),
        ("options", _options(assignment)),
        ("lock", _lock(assignment)),
        ("history", events_lines(assignment)),
        ("verdict", _verdict(assignment)),
    ]
    for label, lines in parts:
        if lines:
            sections.add_row(label, Group(*lines))
    return Group(_headline(assignment), Text(), sections)


def _pairs(options: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(options.items()))


def _headline(assignment: pb.Assignment) -> Text:
    line = Text.assemble((name_text(assignment.model, assignment.version) or "model", "bold"))
    if assignment.state:
        line.append("  ").append_text(state_text(assignment.state))
    line.append("  ").append_text(verdict_text(assignment.verdict.state))
    if assignment.serving_rung:
        where = f"{assignment.serving_provider}, rung {assignment.serving_rung} of {len(assignment.chain)}"
        line.append(f"  on {where}")
    elif assignment.attempts:
        line.append("  on none of its rungs")
    if assignment.serving_rung and assignment.load_seconds:
        line.append(f"  loaded in {assignment.load_seconds:.1f} s", QUIET)
    return line


def _chain(assignment: pb.Assignment) -> list[RenderableType]:
    width = max((len(rung.provider) for rung in assignment.chain), default=0)
    return [
        Text.assemble(
            (f"{number} ", QUIET),
            (rung.provider.ljust(width), "bold" if number == assignment.serving_rung else ""),
            (f"  {_pairs(rung.options)}" if rung.options else "", QUIET),
        )
        for number, rung in enumerate(assignment.chain, 1)
    ]


def _contract(assignment: pb.Assignment) -> list[RenderableType]:
    if not assignment.HasField("contract"):
        return []
    contract = assignment.contract
    demands = [
        f"at least {contract.node_share:.0%} of the nodes on {' or '.join(contract.providers)}",
        f"never on the CPU: {', '.join(contract.forbid_on_cpu)}" if contract.forbid_on_cpu else "",
        "otherwise serve as DEGRADED" if contract.otherwise == "degrade" else "otherwise fail",
    ]
    lines: list[RenderableType] = [Text("; ".join(demand for demand in demands if demand))]
    if contract.implied:
        lines.append(Text("(no [require] in model.toml: the first rung or nothing)", QUIET))
    return lines


def _attempts(assignment: pb.Assignment) -> list[RenderableType]:
    lines: list[RenderableType] = []
    for attempt in assignment.attempts:
        mark, style = _ATTEMPTS.get(attempt.outcome, ("?", QUIET))
        ending = {
            pb.Attempt.OPENED: f"opened in {attempt.seconds:.1f} s",
            pb.Attempt.REFUSED: f"refused at {attempt.stage} after {attempt.seconds:.1f} s",
            pb.Attempt.NOT_NEEDED: "not needed",
        }.get(attempt.outcome, "")
        lines.append(Text.assemble((mark, style), f" {attempt.rung} {attempt.provider}  ", (ending, style)))
        if attempt.reason:
            lines.append(Padding(Text(attempt.reason), (0, 0, 0, 4), expand=False))
        if attempt.HasField("cache"):
            lines.append(Padding(_cache(attempt.cache), (0, 0, 0, 4), expand=False))
        if attempt.HasField("numeric"):
            lines.append(Padding(Text(numeric_text(attempt.numeric), QUIET), (0, 0, 0, 4), expand=False))
        lines.extend(Padding(Text(line, QUIET), (0, 0, 0, 4), expand=False) for line in attempt.log[:_LOG_LINES])
        if len(attempt.log) > _LOG_LINES:
            lines.append(
                Padding(Text(f"and {len(attempt.log) - _LOG_LINES} more lines", QUIET), (0, 0, 0, 4), expand=False)
            )
    return lines


def _nodes(assignment: pb.Assignment) -> list[RenderableType]:
    if not assignment.shares:
        return []
    table = Table.grid(padding=(0, 2, 0, 0))
    lines: list[RenderableType] = [table]
    for share in assignment.shares:
        serving = share.provider == assignment.serving_provider
        table.add_row(
            Text(share.provider, "bold" if serving else ""),
            _bar(share.node_share, GOOD if serving else DOUBTFUL),
            Text(f"{share.node_share:.1%}", justify="right"),
            Text(counted(share.nodes, "node"), justify="right"),
            Text(counted(share.fragments, "fragment"), justify="right"),
            Text("" if share.parameter_share < 0 else f"{share.parameter_share:.0%} of weights", justify="right"),
        )
    for share in assignment.shares:
        lines.append(Text.assemble((f"{share.provider}: ", QUIET), counts_text(share.operators)))
        left = [node for node in share.node_list if not node.shape_only]
        if left and share.provider != assignment.serving_provider and assignment.serving_provider:
            lines.append(Padding(Text(f"left there: {_named(left)}", DOUBTFUL), (0, 0, 0, 2), expand=False))
    if len(assignment.shares) > 1 and assignment.crossings >= 0:
        tensors = counted(assignment.crossings, "tensor")
        lines.append(Text(f"{tensors} cross{'es' if assignment.crossings == 1 else ''} between providers"))
    if assignment.method:
        completeness = "complete" if assignment.complete else "may be incomplete"
        lines.append(Text(f"{assignment.method}; {completeness}", QUIET))
    return lines


def _bar(share: float, style: str) -> Text:
    filled = round(share * _BAR_WIDTH)
    if share > 0:
        filled = max(filled, 1)
    return Text.assemble(("█" * filled, style), ("░" * (_BAR_WIDTH - filled), QUIET))


def _named(nodes: list[pb.Node]) -> str:
    names = [f"{node.op_type} {node.name}".rstrip() for node in nodes[:_NODES_NAMED]]
    more = len(nodes) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _memory(assignment: pb.Assignment) -> list[RenderableType]:
    return [
        Text.assemble((f"{place.direction} ", QUIET), f"{place.tensor} in {place.memory}")
        for place in assignment.placements
    ]


def _options(assignment: pb.Assignment) -> list[RenderableType]:
    return [
        Text.assemble((f"{share.provider}: ", QUIET), _pairs(share.effective_options))
        for share in assignment.shares
        if share.effective_options
    ]


def _lock(assignment: pb.Assignment) -> list[RenderableType]:
    lines = drift_lines(assignment.drift) if assignment.HasField("drift") else []
    more = len(lines) - _DRIFT_LINES
    rest = [Text(f"and {more} more lines: ortolan plan --locked", QUIET)] if more > 0 else []
    return [*lines[:_DRIFT_LINES], *rest]


def _verdict(assignment: pb.Assignment) -> list[RenderableType]:
    verdict = assignment.verdict
    grounds = Table.grid(padding=(0, 1, 0, 0))
    told = {attempt.reason for attempt in assignment.attempts if attempt.outcome == pb.Attempt.REFUSED}
    for reason in verdict.reasons:
        if any(reason.endswith(f": {attempt}") for attempt in told):
            continue  # it stands beside the attempt
        grounds.add_row(Text("✗", verdict_text(verdict.state).style), Text(reason))
    for warning in verdict.warnings:
        grounds.add_row(Text("!", DOUBTFUL), Text(warning))
    return [verdict_text(verdict.state), grounds]
