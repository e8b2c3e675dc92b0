"""`ortolan doctor`: which providers work on this machine, why the others do not, and what to do about it."""

import platform
from importlib.metadata import version
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ortolan.v1 import provider_reflection_pb2 as pb
from ortolan_backends.catalog import Catalog
from ortolan_backends.checks import probe_safely
from ortolan_backends.errors import BackendError, RuntimeConflict
from ortolan_backends.runtime.wheel import installed_wheels, require_one_wheel
from ortolan_server.commands._console import FAILURE, USAGE, answers, complain, message_dict, print_json
from ortolan_server.commands._styles import BAD, DOUBTFUL, GOOD, QUIET

__all__ = ["doctor"]

_MARKS = {
    pb.Check.OK: ("✓", GOOD),
    pb.Check.DEGRADED: ("!", DOUBTFUL),
    pb.Check.FAILED: ("✗", BAD),
    pb.Check.SKIPPED: ("·", QUIET),
}
_STYLES = {
    pb.Provider.AVAILABLE: GOOD,
    pb.Provider.DEGRADED: DOUBTFUL,
    pb.Provider.UNAVAILABLE: BAD,
}
_FLOOR = "cpu"


def doctor(
    names: Annotated[list[str] | None, typer.Argument(metavar="[PROVIDER]...", help="Only these, e.g. cuda.")] = None,
    *,
    options: Annotated[bool, typer.Option("--options", help="Also the options each takes in model.toml.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, the options included.")] = False,
) -> None:
    """Look at every execution provider on this machine: does it work, what is missing, how is it mended.

    Nothing is loaded or served, and what could crash is looked at in a process of its own.

    For example:

    - `ortolan doctor`: every provider
    - `ortolan doctor cuda --options`: one, and what can be set for it in model.toml
    - `ortolan doctor cuda && ortolan serve models/`: serve only where CUDA works

    Marks: ✓ fine, ! works less well, ✗ missing or broken, · not looked at because of an earlier fault.

    Exit codes: 0 when cpu works, or all the providers that are named (even if less well); 1 when not, or when
    several ONNX Runtime wheels overwrite each other; 2 when there is none, or no such provider.
    """
    wheels = installed_wheels()
    conflict = _conflict()
    if conflict and not wheels:
        complain(conflict)
        raise typer.Exit(USAGE)
    providers = [] if conflict else _look_at(names or [])
    if as_json:
        print_json(
            {
                "ortolan": version("ortolan"),
                "python": platform.python_version(),
                "platform": platform.platform(),
                "onnxruntime": {"wheels": wheels, "conflict": conflict},
                "providers": [message_dict(provider) for provider in providers],
            }
        )
    else:
        answers().print(_report(wheels, conflict, providers, options=options))
    required = names or [_FLOOR]
    working = {provider.name for provider in providers if provider.availability != pb.Provider.UNAVAILABLE}
    if not working.issuperset(required):
        raise typer.Exit(FAILURE)


def _conflict() -> str:
    try:
        require_one_wheel()
    except RuntimeConflict as error:
        return str(error)
    return ""


def _look_at(names: list[str]) -> list[pb.Provider]:
    # Imports ONNX Runtime, which must not happen before it is known that there is one wheel of it.
    from ortolan_server.services.reports import provider_message  # noqa: PLC0415

    catalog = Catalog.from_entry_points()
    unknown = [name for name in names if name not in catalog.names()]
    if unknown:
        complain(f"no provider '{unknown[0]}'; known: {', '.join(catalog.names())}")
        raise typer.Exit(USAGE)
    providers = []
    for name in names or catalog.names():
        try:
            backend = catalog.get(name)
        except BackendError as error:
            providers.append(_broken_backend(name, str(error)))
        else:
            providers.append(provider_message(backend, probe_safely(backend)))
    return providers


def _broken_backend(name: str, reason: str) -> pb.Provider:
    check = pb.Check(
        looked_at="backend", outcome=pb.Check.FAILED, finding=reason, mend="repair or uninstall its package"
    )
    return pb.Provider(name=name, availability=pb.Provider.UNAVAILABLE, reason=reason, checks=[check])


def _report(wheels: dict[str, str], conflict: str, providers: list[pb.Provider], *, options: bool) -> RenderableType:
    runtimes = ", ".join(f"{name} {number}" for name, number in wheels.items())
    system = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    parts: list[RenderableType] = [
        Text.assemble((f"Ortolan {version('ortolan')}", "bold"), (f"  {runtimes}  {system}", QUIET))
    ]
    if conflict:
        parts.append(Text.assemble(("✗ ", BAD), conflict))
    for provider in providers:
        parts += [Text(), _headline(provider), Padding(_body(provider), (0, 0, 0, 2), expand=False)]
        if options:
            parts.append(Padding(_options(provider), (0, 0, 0, 2), expand=False))
    return Group(*parts)


def _headline(provider: pb.Provider) -> Text:
    word = pb.Provider.Availability.Name(provider.availability).lower()
    line = Text.assemble((provider.name, "bold"), "  ", (word, _STYLES.get(provider.availability, "")))
    return line.append(f"  {provider.provider}", QUIET)


def _body(provider: pb.Provider) -> RenderableType:
    lines = Table.grid(padding=(0, 1, 0, 0))
    lines.add_column()
    lines.add_column(overflow="fold")  # a path may be longer than a line
    skipped = [check.looked_at for check in provider.checks if check.outcome == pb.Check.SKIPPED]
    for check in provider.checks:
        if check.outcome == pb.Check.SKIPPED:
            continue
        mark, style = _MARKS.get(check.outcome, ("?", ""))
        finding = Text.assemble((f"{check.looked_at}: ", ""), check.finding)
        lines.add_row(Text(mark, style), finding)
        if check.mend:
            lines.add_row("", Text.assemble(("→ ", "bold"), check.mend))
    if skipped:
        lines.add_row(Text("·", QUIET), Text(f"not looked at: {', '.join(skipped)}", QUIET))
    for device in provider.devices:
        memory = f", {device.memory_bytes / 2**30:.1f} GiB" if device.memory_bytes else ""
        lines.add_row(Text("·", QUIET), Text(f"device {device.kind} {device.id}: {device.name}{memory}"))
    if provider.versions:
        versions = ", ".join(f"{name} {number}" for name, number in sorted(provider.versions.items()))
        lines.add_row(Text("·", QUIET), Text(f"versions: {versions}", QUIET))
    parts = [Text(provider.summary, QUIET), lines] if provider.summary else [lines]
    return Group(*parts)


def _options(provider: pb.Provider) -> RenderableType:
    lines = Table.grid(padding=(0, 2, 0, 0))
    lines.add_column(no_wrap=True)
    for option in provider.options:
        facts = [option.type, option.unit and f"in {option.unit}", option.allowed]
        about = ", ".join(fact for fact in facts if fact)
        default = f"; {option.default} by default" if option.default else ""
        lines.add_row(Text(option.name, "bold"), Text.assemble(option.documentation, (f" ({about}{default})", QUIET)))
    if not provider.options:
        return Text("takes no options", QUIET)
    return Group(Text("options in model.toml", QUIET), lines)
