"""`ortolan cache`: what is kept of what providers compiled, and how to let it go."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from ortolan_server.cache.entry import Record
from ortolan_server.cache.folder import CacheFolder, Kept, too_many
from ortolan_server.commands._cache_dir import OFF, CacheDir, cache_folder
from ortolan_server.commands._console import FAILURE, USAGE, answers, complain, print_json
from ortolan_server.commands._styles import QUIET
from ortolan_server.units import parse_duration_s, parse_size_bytes, size_text

__all__ = ["list", "prune"]

_KEY_SHOWN = 8

_AsJson = Annotated[bool, typer.Option("--json", help="Print one object for each entry as JSON.")]


@dataclass(frozen=True, slots=True)
class _Listed:
    kept: Kept
    record: Record | None
    """None: a build that did not end, or goes on."""
    in_use: bool


def list(cache_dir: CacheDir = "", *, as_json: _AsJson = False) -> None:  # noqa: A001 (the command's name)
    """What is kept, the last used first.

    For example: `ortolan cache list`

    Exit codes: 0 fine, without a cache too; 1 it cannot be read; 2 usage.
    """
    folder = _folder(cache_dir)
    try:
        listed = [_Listed(kept, kept.entry.record(), folder.is_in_use(kept.entry)) for kept in folder.kept()]
    except OSError as error:
        raise _failed(folder, "read", error) from error
    listed.sort(key=lambda each: -each.kept.last_used_s)
    if as_json:
        print_json([_as_json(each) for each in listed])
    else:
        console = answers()
        if listed:
            console.print(_table(listed), Text())
        total = size_text(sum(each.kept.size_bytes for each in listed))
        count = "1 entry" if len(listed) == 1 else f"{len(listed)} entries"
        console.print(Text(f"{count}, {total}, in {folder.path}", QUIET), soft_wrap=True)


def prune(  # noqa: PLR0913 (the options of the command)
    cache_dir: CacheDir = "",
    *,
    everything: Annotated[bool, typer.Option("--all", help="All that no session uses.")] = False,
    older_than: Annotated[str, typer.Option(metavar="TIME", help="What was unused for so long, as in 30d.")] = "",
    size: Annotated[str, typer.Option(metavar="SIZE", help="The longest unused, until the rest fits in 5GiB.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: _AsJson = False,
) -> None:
    """Remove what is not needed any more; never what a session uses. What builds that did not end have left goes too.

    For example:

    - `ortolan cache prune --older-than 30d`
    - `ortolan cache prune --size 5GiB --dry-run`

    Exit codes: 0 fine, with nothing to remove too; 1 the cache cannot be changed; 2 usage.
    """
    folder = _folder(cache_dir)
    if sum((everything, bool(older_than), bool(size))) != 1:
        complain("name one of --all, --older-than and --size")
        raise typer.Exit(USAGE)
    try:
        unused_s = parse_duration_s(older_than) if older_than else 0.0
        limit_bytes = parse_size_bytes(size) if size else 0
    except ValueError as error:
        complain(f"{'--older-than' if older_than else '--size'} {error}")
        raise typer.Exit(USAGE) from error
    try:
        kept = folder.kept()
        if older_than:
            going = [each for each in kept if time.time() - each.last_used_s > unused_s]
        else:
            going = [*too_many(kept, limit_bytes)]
        if dry_run:
            gone = [each for each in going if not folder.is_in_use(each.entry)]
        else:
            gone = folder.evict(going)
            folder.sweep()
    except OSError as error:
        raise _failed(folder, "changed", error) from error
    if as_json:
        print_json([_entry_json(each) for each in gone])
        return
    for each in gone:
        answers().print(f"{each.entry.provider}/{each.entry.key}  {size_text(each.size_bytes)}", markup=False)
    verb = "would be removed" if dry_run else "removed"
    total = size_text(sum(each.size_bytes for each in gone))
    stays = f"; {len(going) - len(gone)} in use" if len(gone) < len(going) else ""
    answers().print(f"{len(gone)} of {len(kept)} entries {verb}, {total}{stays}", markup=False)


def _folder(text: str) -> CacheFolder:
    path = cache_folder(text)
    if path is None:
        complain(f"--cache-dir {OFF}: there is no cache")
        raise typer.Exit(USAGE)
    return CacheFolder(path)


def _failed(folder: CacheFolder, what: str, error: OSError) -> typer.Exit:
    complain(f"the cache in {folder.path} cannot be {what}: {error.filename}: {error.strerror}")
    return typer.Exit(FAILURE)


def _entry_json(kept: Kept) -> dict[str, object]:
    return {
        "provider": kept.entry.provider,
        "key": kept.entry.key,
        "folder": str(kept.entry.files),
        "bytes": kept.size_bytes,
        "last_used": _when(kept.last_used_s),
    }


def _as_json(each: _Listed) -> dict[str, object]:
    record = each.record
    facts: dict[str, object] = {"whole": record is not None, "in_use": each.in_use}
    if record is not None:
        parts = record.parts
        facts |= {
            "model": record.path,
            "created": record.created,
            "build_seconds": record.build_seconds,
            "model_sha256": parts.model,
            "versions": dict(parts.versions),
            "devices": [*parts.devices],
            "options": dict(parts.options),
        }
    return _entry_json(each.kept) | facts


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _table(listed: Sequence[_Listed]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=QUIET)
    table.add_column("MODEL", overflow="fold")
    for heading in ("PROVIDER", "KEY"):
        table.add_column(heading, no_wrap=True)
    table.add_column("SIZE", justify="right", no_wrap=True)
    table.add_column("LAST USED", no_wrap=True)
    table.add_column("", no_wrap=True)
    for each in listed:
        entry = each.kept.entry
        table.add_row(
            Text(_model(each.record), "bold"),
            entry.provider,
            entry.key[:_KEY_SHOWN],
            size_text(each.kept.size_bytes),
            _when(each.kept.last_used_s)[:16].replace("T", " "),
            Text("in use" if each.in_use else "" if each.record else "not whole", QUIET),
        )
    return table


def _model(record: Record | None) -> str:
    """As much of the path as people call it by: `resnet/1`."""
    if record is None:
        return "-"
    path = Path(record.path)
    *_, model, version = ("", *path.parent.parts)
    return f"{model}/{version}" if version.isdecimal() else path.stem if path.stem != "model" else version
