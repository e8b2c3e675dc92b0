"""A Dockerfile as stages of instructions: as much of the language as ours uses, and an error for the rest."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

__all__ = ["DockerfileError", "Instruction", "Stage", "needed_stages", "pairs", "parse", "substitute"]

KNOWN = frozenset(
    (
        *("ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK"),
        *("LABEL", "RUN", "STOPSIGNAL", "USER", "WORKDIR"),
    )
)
_FROM = re.compile(r"(\S+)\s+[Aa][Ss]\s+(\S+)")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


class DockerfileError(ValueError):
    """The file says something that is not known here; names the line."""


@dataclass(frozen=True, slots=True)
class Instruction:
    line: int
    name: str
    flags: tuple[str, ...]
    """`--mount=…`, `--from=…`, as they stand."""
    arguments: str
    """The rest, continued lines put together by a space."""

    def __str__(self) -> str:
        return f"{self.name} {' '.join((*self.flags, self.arguments))}"

    def exec_form(self) -> list[str]:
        """The arguments of a JSON array. Raises DockerfileError for the shell form."""
        try:
            words = json.loads(self.arguments)
        except ValueError:
            words = None
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise DockerfileError(f"line {self.line}: {self.name} is not in exec form, a JSON array of texts")
        return words


@dataclass(slots=True)
class Stage:
    name: str
    base: str
    """The name of a stage above, or an image; variables put in."""
    start: Instruction
    instructions: list[Instruction] = field(default_factory=list)


def parse(text: str, build_args: Mapping[str, str]) -> tuple[dict[str, Stage], dict[str, str]]:
    """The stages by name, in order, and the values of the ARGs before the first of them."""
    shared: dict[str, str] = {}
    stages: dict[str, Stage] = {}
    for instruction in _instructions(text):
        if instruction.name == "FROM":
            match = _FROM.fullmatch(substitute(instruction.arguments, shared))
            if match is None or instruction.flags or match[2] in stages:
                raise DockerfileError(f"line {instruction.line}: want `FROM image AS name` with a new name")
            stages[match[2]] = Stage(match[2], match[1], instruction)
        elif stages:
            stages[next(reversed(stages))].instructions.append(instruction)
        elif instruction.name == "ARG":
            shared |= {name: build_args.get(name, value) for name, value in pairs(instruction, shared).items()}
        else:
            raise DockerfileError(f"line {instruction.line}: {instruction.name} before the first FROM")
    return stages, shared


def needed_stages(stages: dict[str, Stage], target: str) -> list[Stage]:
    """The target and the stages it is made from, in the file's order. Raises DockerfileError for an unknown target."""
    if target not in stages:
        raise DockerfileError(f"no stage {target!r}; stages: {', '.join(stages)}")
    wanted = {target}
    for name in reversed(stages):  # a stage can only use those above it
        if name in wanted:
            copied = [flag.removeprefix("--from=") for step in stages[name].instructions for flag in step.flags]
            wanted |= {stages[name].base, *copied}
    return [stage for name, stage in stages.items() if name in wanted]


def pairs(instruction: Instruction, variables: Mapping[str, str]) -> dict[str, str]:
    """The `name=value` of ARG, ENV and LABEL."""
    found = {}
    for word in shlex.split(substitute(instruction.arguments, variables)):
        name, sign, value = word.partition("=")
        if not sign:
            raise DockerfileError(f"line {instruction.line}: {instruction.name} wants name=value, not {word!r}")
        found[name] = value
    return found


def substitute(text: str, variables: Mapping[str, str]) -> str:
    """Puts in `$name` and `${name}`. Raises DockerfileError for what is not set, where a builder would put nothing."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in variables:
            raise DockerfileError(f"${name} is not set; set are: {', '.join(sorted(variables)) or 'none'}")
        return variables[name]

    if "${" in _VARIABLE.sub("", text):
        raise DockerfileError(f"only $name and ${{name}} are known here: {text}")
    return _VARIABLE.sub(value, text)


def _instructions(text: str) -> Iterator[Instruction]:
    for number, line in _logical_lines(text):
        name, _, rest = line.partition(" ")
        if name not in KNOWN:
            raise DockerfileError(f"line {number}: {name} is not known here; known: {', '.join(sorted(KNOWN))}")
        if "<<" in rest:
            raise DockerfileError(f"line {number}: here-documents are not known here")
        flags = []
        while (rest := rest.lstrip()).startswith("--"):
            flag, _, rest = rest.partition(" ")
            flags.append(flag)
        yield Instruction(number, name, tuple(flags), rest)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with those that continue them, and the number of the first; without comments and empty lines."""
    begun: list[str] = []
    first = 0
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        first = first if begun else number
        begun.append(stripped.removesuffix("\\").strip())
        if not stripped.endswith("\\"):
            yield first, " ".join(begun)
            begun = []
    if begun:
        raise DockerfileError(f"line {first}: the file ends inside of an instruction")
