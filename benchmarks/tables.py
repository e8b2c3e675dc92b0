"""A table, for a terminal and as Markdown; and how figures are written."""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["NONE", "Table", "markdown", "number", "text"]

NONE = "-"


@dataclass(frozen=True)
class Table:
    """`notes` go below it. The first column is text, the others are figures."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()


def text(table: Table) -> str:
    lines = [table.head, *table.rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(table.head))]
    shown = [
        "  ".join(
            word.rjust(width) if column else word.ljust(width)
            for column, (word, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([table.title, *shown, *table.notes])


def markdown(table: Table) -> str:
    rule = ["---", *["---:"] * (len(table.head) - 1)]
    lines = [f"| {' | '.join(line)} |" for line in (table.head, rule, *table.rows)]
    notes = [f"\n{note}." for note in table.notes]
    return "\n".join([f"### {table.title}", "", *lines, *notes])


def number(value: float) -> str:
    """Three digits that count, or all before the point."""
    if abs(value) >= 100:  # noqa: PLR2004 - three digits
        return f"{value:,.0f}"
    return f"{value:#.3g}".rstrip(".") if value else "0"
