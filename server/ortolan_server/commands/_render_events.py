"""What happened to a version, for people: the newest last."""

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from ortolan.v1 import findings_pb2 as found
from ortolan.v1 import provider_reflection_pb2 as pb
from ortolan_server.commands._styles import BAD, DOUBTFUL, GOOD, QUIET

__all__ = ["events_lines"]

_SHOWN = 8
_STYLES = {
    found.Event.LOADED: GOOD,
    found.Event.RECOVERED: GOOD,
    found.Event.DEVICE_FAILED: BAD,
    found.Event.FAILED_OVER: DOUBTFUL,
    found.Event.PROBE_FAILED: DOUBTFUL,
    found.Event.RELOAD_REFUSED: DOUBTFUL,
}


def events_lines(assignment: pb.Assignment) -> list[RenderableType]:
    """Nothing for a version that was only loaded."""
    if [event.kind for event in assignment.events] == [found.Event.LOADED]:
        return []
    lines: list[RenderableType] = []
    for event in assignment.events[-_SHOWN:]:
        kind = found.Event.Kind.Name(event.kind)
        lines.append(
            Text.assemble(
                (f"{event.at.ToDatetime():%Y-%m-%d %H:%M:%S}Z  ", QUIET),
                (kind, _STYLES.get(event.kind, "")),
                _rungs(event),
            )
        )
        if event.reason:
            lines.append(Padding(Text(event.reason), (0, 0, 0, 4), expand=False))
    return lines


def _rungs(event: found.Event) -> str:
    if event.from_rung and event.to_rung:
        return f"  rung {event.from_rung} → {event.to_rung}"
    rung = event.from_rung or event.to_rung
    return f"  rung {rung}" if rung else ""
