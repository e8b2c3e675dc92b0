"""Pages whose `console` blocks are run as printed: what stands there, and how what came is held against it.

A command begins with `$ ` and goes on behind a backslash at the end of its line; what follows is its output as the page
shows it. Output is compared line by line: words are equal, numbers and times may differ, white space inside a line may
too, and `…` stands for anything, alone on its line for any lines.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["ELLIPSIS", "Command", "commands", "difference"]

ELLIPSIS = "…"
INTERRUPTED = "^C"
_PROMPT = "$ "
_LOOSE = (
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:[\d.]+Z",
    r"(?<![A-Za-z_\d])\d[\d.]*(?:e[-+]?\d+)?",  # in FP32 and v1 the digit belongs to a word
    r"[ \t]+",
    ELLIPSIS,
)
_TOKEN = re.compile("|".join(f"({pattern})" for pattern in _LOOSE))
_MATCHES = (*_LOOSE[:-1], ".*")


@dataclass(frozen=True, slots=True)
class Command:
    line: int
    """Where it stands in its page; the first line is 1."""
    text: str
    output: tuple[str, ...]

    @property
    def is_interrupted(self) -> bool:
        """Does it run until Ctrl-C?"""
        return self.output[-1:] == (INTERRUPTED,)

    @property
    def shown(self) -> tuple[str, ...]:
        return self.output[:-1] if self.is_interrupted else self.output


def commands(page: str) -> list[Command]:
    """All that the page tells its reader to type, in order."""
    found: list[Command] = []
    inside = False
    for number, line in enumerate(page.splitlines(), start=1):
        if line.startswith("```"):
            inside = line == "```console"
        elif inside and line.startswith(_PROMPT):
            found.append(Command(number, line.removeprefix(_PROMPT), ()))
        elif inside:
            last = found.pop()
            goes_on = last.text.endswith("\\") and not last.output
            text, output = (f"{last.text}\n{line}", ()) if goes_on else (last.text, (*last.output, line))
            found.append(Command(last.line, text, output))
    return found


def difference(shown: Sequence[str], came: Sequence[str]) -> str:
    """What came otherwise than shown, as a sentence; empty: nothing."""
    rest = list(came)
    anything = False
    for line in shown:
        if line.strip() == ELLIPSIS:
            anything = True
            continue
        while anything and rest and not _is_same(line, rest[0]):
            del rest[0]
        anything = False
        if not rest:
            return f"shown, and did not come: {line}"
        if not _is_same(line, rest[0]):
            return f"shown: {line}\n came: {rest[0]}"
        del rest[0]
    return f"came, and is not shown: {rest[0]}" if rest and not anything else ""


def _is_same(shown: str, came: str) -> bool:
    """Indentation counts: it tells which object a key of JSON belongs to."""
    pattern, end = "", 0
    for token in _TOKEN.finditer(shown):
        indents = token.start() == 0 and token[0].isspace()
        matches = re.escape(token[0]) if indents else _MATCHES[(token.lastindex or 1) - 1]
        pattern += re.escape(shown[end : token.start()]) + matches
        end = token.end()
    return re.fullmatch(pattern + re.escape(shown[end:]), came.rstrip()) is not None
