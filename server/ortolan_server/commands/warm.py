"""`ortolan warm`: build what providers compile before a server wants it."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ortolan_backends.catalog import Catalog
from ortolan_backends.errors import BackendError
from ortolan_backends.runtime.log import LogLine, RuntimeLog
from ortolan_server.cache.cache import Cache
from ortolan_server.chains.registry import Registry
from ortolan_server.commands._cache_dir import OFF, CacheDir, cache_folder
from ortolan_server.commands._console import FAILURE, USAGE, answers, complain, others_on_stderr, print_json
from ortolan_server.commands._models import found_models
from ortolan_server.commands._styles import BAD, GOOD, QUIET
from ortolan_server.commands._warm_progress import WarmProgress
from ortolan_server.errors import InvalidConfig
from ortolan_server.lifecycle.ahead import Ahead, AheadOutcome, Errand, errand, run_errand
from ortolan_server.repository import ModelEntry
from ortolan_server.settings import Settings
from ortolan_server.telemetry.logs import errors_only
from ortolan_server.units import size_text

__all__ = ["warm"]

_STYLES = {AheadOutcome.HIT: GOOD, AheadOutcome.BUILT: GOOD, AheadOutcome.ABSENT: QUIET, AheadOutcome.OWN: QUIET}


def warm(
    models: Annotated[
        list[Path], typer.Argument(help="Repositories, models' folders or .onnx files.", show_default=False)
    ],
    cache_dir: CacheDir = "",
    cache_size: Annotated[str, typer.Option(help="As that of ortolan serve.")] = "10GiB",
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one object for each rung as JSON.")] = False,
) -> None:
    """Build what providers compile ahead of time, so that a server finds it: for an image, or before a rollout.

    Each version that would be served is opened on each rung of its chain that works here and keeps what it compiles,
    and runs on the samples of its model.toml once. What is there is left as it is. A failure leaves the others alone.

    For example:

    - `ortolan warm models/`
    - `ortolan warm models/ --cache-dir /cache/ortolan` in a Dockerfile

    Exit codes: 0 all is kept that can be compiled here; 1 something was refused, or could not be kept; 2 usage.
    """
    folder = cache_folder(cache_dir)
    if folder is None:
        complain(f"--cache-dir {OFF}: there is nothing to keep it in")
        raise typer.Exit(USAGE)
    try:
        cache = Cache(folder, Settings.parse({"cache_size_bytes": cache_size}).cache_size_bytes)
        entries = [entry for path in models for entry in found_models(path)]
    except InvalidConfig as error:
        complain(str(error).removeprefix("settings: "))
        raise typer.Exit(USAGE) from error
    try:
        cache.folder.require_safe()
        found = _run(entries, cache)
    except (InvalidConfig, BackendError) as error:
        complain(str(error))
        raise typer.Exit(FAILURE) from error
    if as_json:
        print_json([_as_json(each) for each in found])
    else:
        console = answers()
        console.print(_table(found))
        if found:
            console.print(Text(f"\nkept in {folder}", QUIET), soft_wrap=True)
    if any(each.outcome.is_failure for each in found):
        raise typer.Exit(FAILURE)


def _run(entries: Sequence[ModelEntry], cache: Cache) -> list[Ahead]:
    found: list[Ahead] = []
    runtime_log = RuntimeLog(_quiet)
    terminal = runtime_log.start()
    try:
        registry = Registry(Catalog.from_entry_points(), runtime_log, cache=cache)
        tasks = [task for entry in entries for task in _errands(registry, entry)]
        rungs = sum(len(task.rungs) for task in tasks)
        with others_on_stderr(), errors_only(), WarmProgress(rungs, terminal) as progress:
            for task in tasks:
                progress.begin(f"{task.entry.name}/{task.version}")
                for each in run_errand(registry, task):
                    found.append(each)
                    progress.done()
    finally:
        runtime_log.stop()
    return found


def _errands(registry: Registry, entry: ModelEntry) -> list[Errand]:
    if entry.error:
        return [Errand(entry, 0, fault=entry.error)]
    try:
        versions = entry.wanted
    except InvalidConfig as error:
        return [Errand(entry, 0, fault=str(error))]
    return [errand(registry, entry, version) for version in versions]


def _quiet(_line: LogLine) -> None:
    """What ONNX Runtime logs is told by the reasons."""


def _as_json(each: Ahead) -> dict[str, object]:
    use = asdict(each.use) if each.use else {}
    return {
        "model": each.model,
        "version": str(each.version) if each.version else "",
        "rung": each.rung,
        "provider": each.provider,
        "outcome": str(each.outcome),
        "seconds": round(each.seconds, 3),
        "bytes": use.get("size_bytes", 0),
        "key": use.get("key", ""),
        "folder": use.get("folder", ""),
        "reason": each.reason,
    }


def _table(found: Sequence[Ahead]) -> RenderableType:
    if not found:
        return Text("no rung of these models keeps what it compiles", QUIET)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=QUIET)
    table.add_column("MODEL", overflow="fold")
    for heading in ("RUNG", "OUTCOME"):
        table.add_column(heading, no_wrap=True)
    for heading in ("SECONDS", "SIZE"):
        table.add_column(heading, justify="right", no_wrap=True)
    reasons = Table.grid(padding=(0, 2, 0, 0))
    for each in found:
        name = f"{each.model}/{each.version}" if each.version else each.model
        size = size_text(each.use.size_bytes) if each.use and each.use.folder else "-"
        style = _STYLES.get(each.outcome, BAD)
        rung = f"{each.rung} {each.provider}" if each.rung else "-"
        table.add_row(Text(name, "bold"), rung, Text(str(each.outcome), style), f"{each.seconds:.1f}", size)
        if each.reason:
            reasons.add_row(Text(name, "bold"), Text(each.provider), Text(each.reason))
    parts: list[RenderableType] = [table]
    if reasons.row_count:
        parts += [Text(), reasons]
    return Group(*parts)
