"""How tensors are named in messages to the caller.

What comes from a request is cut short: a message travels in a response header, which has a size limit.
"""

from collections.abc import Iterable, Sequence

__all__ = ["listed", "quoted", "shape_text"]

_MAX_NAME_CHARACTERS = 64
_MAX_DIMENSIONS = 8
_MAX_LISTED = 8


def quoted(name: str) -> str:
    """A name in quotes, control characters escaped."""
    return repr(_cut(name))


def shape_text(shape: Sequence[int | str | None] | None) -> str:
    """E.g. `[batch,3,?]`: `?` is a dimension that may vary and has no name. None: any rank."""
    if shape is None:
        return "[...]"
    dimensions = ["?" if size is None else _cut(str(size)) for size in shape[:_MAX_DIMENSIONS]]
    more = ["…"] if len(shape) > _MAX_DIMENSIONS else []
    return f"[{','.join(dimensions + more)}]"


def listed(items: Iterable[object]) -> str:
    """Items with commas, the first few of them; `nothing` when there are none."""
    texts = [str(item) for item in items]
    more = [f"and {len(texts) - _MAX_LISTED} more"] if len(texts) > _MAX_LISTED else []
    return ", ".join(texts[:_MAX_LISTED] + more) or "nothing"


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_NAME_CHARACTERS else text[: _MAX_NAME_CHARACTERS - 1] + "…"
