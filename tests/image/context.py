"""The build context: which files of a folder a builder would see, by its .dockerignore."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Context"]


@dataclass(frozen=True, slots=True)
class Context:
    """`root`, less what its .dockerignore leaves out.

    The last pattern decides that matches a path or a folder above it.
    """

    root: Path

    def files(self, source: str) -> Iterator[Path]:
        """The files at or below `source`, relative to the root. Raises FileNotFoundError when there are none."""
        rules = self._rules()
        found = False
        start = self.root / source
        for path in sorted(start.rglob("*")) if start.is_dir() else [start]:
            relative = path.relative_to(self.root)
            if path.is_file() and not _ignored(relative, rules):
                found = True
                yield relative
        if not found:
            raise FileNotFoundError(f"the build context has no {source}: it is missing, or .dockerignore leaves it out")

    def _rules(self) -> list[tuple[re.Pattern[str], bool]]:
        lines = (self.root / ".dockerignore").read_text(encoding="utf-8").splitlines()
        patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        return [(_pattern(line.removeprefix("!")), not line.startswith("!")) for line in patterns]


def _ignored(path: Path, rules: list[tuple[re.Pattern[str], bool]]) -> bool:
    names = [path.as_posix(), *(parent.as_posix() for parent in path.parents if parent != Path())]
    ignored = False
    for pattern, ignores in rules:
        if any(pattern.fullmatch(name) for name in names):
            ignored = ignores
    return ignored


def _pattern(text: str) -> re.Pattern[str]:
    """`**` is any number of folders, `*` any characters but a slash."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", text.strip("/"))
    words = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(words.get(part, re.escape(part)) for part in parts))
