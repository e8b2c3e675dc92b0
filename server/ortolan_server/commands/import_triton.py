"""`ortolan import triton`: the model.toml files that are equal to those of a Triton repository."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from ortolan_backends.catalog import Catalog
from ortolan_server.commands._console import FAILURE, USAGE, complain, print_json
from ortolan_server.errors import InvalidConfig
from ortolan_server.repository.importing import ImportedModel, import_model, triton_folders
from ortolan_server.repository.toml_writing import model_toml_text
from ortolan_server.repository.triton import Note, Outcome
from ortolan_server.units import counted

__all__ = ["triton"]

_WORDS = {Outcome.HONOURED: "honoured", Outcome.TRANSLATED: "translated", Outcome.NOT_HONOURED: "not honoured"}


def triton(
    repository: Annotated[Path, typer.Argument(help="A repository of Triton's, or one model's folder in it.")],
    output: Annotated[
        Path | None, typer.Option(help="Write below this folder, not beside each config.pbtxt.", show_default=False)
    ] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only report; write nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over files that are there already.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Write the model.toml files that are equal to the config.pbtxt files of a Triton repository.

    Reports what became of every setting: honoured, translated, or not honoured. Exit status 1 when a model is refused
    or its file cannot be written, 2 when there is no config.pbtxt.

    For example:

    - `ortolan import triton model_repository --dry-run`
    - `ortolan import triton model_repository --output models`
    """
    try:
        folders = triton_folders(repository)
    except InvalidConfig as error:
        complain(str(error))
        raise typer.Exit(USAGE) from error
    catalog = Catalog.from_entry_points()
    models = [
        import_model(
            folder,
            folder if output is None else output / folder.absolute().name,
            catalog,
            write=not dry_run,
            over=force,
        )
        for folder in folders
    ]
    if as_json:
        print_json({"models": [_document(model) for model in models], "summary": _summary(models)})
    else:
        for model in models:
            print("\n".join(_lines(model, written=not dry_run)))
        print(_summary(models))
    if any(model.refusal for model in models):
        raise typer.Exit(FAILURE)


def _lines(model: ImportedModel, *, written: bool) -> Iterable[str]:
    if model.refusal:
        yield f"{model.name}: refused"
        yield from (f"  {line}" for line in model.refusal.splitlines())
    else:
        yield f"{model.name}: {'written to' if written else 'would be written to'} {model.file}"
        for outcome, word in _WORDS.items():
            notes = [note for note in model.notes if note.outcome is outcome]
            if notes:
                yield f"  {word}"
                yield from (f"    {note}" for note in notes)
    yield ""


def _summary(models: Sequence[ImportedModel]) -> str:
    refused = sum(bool(model.refusal) for model in models)
    counts = Counter(note.outcome for model in models for note in model.notes)
    settings = ", ".join(f"{counts[outcome]} {word}" for outcome, word in _WORDS.items())
    return (
        f"{counted(len(models), 'model')}: {len(models) - refused} translated, {refused} refused; settings: {settings}"
    )


def _document(model: ImportedModel) -> dict[str, object]:
    return {
        "model": model.name,
        "file": str(model.file),
        "refusal": model.refusal,
        "model_toml": model_toml_text(model.config) if model.config else "",
        "settings": [_setting(note) for note in model.notes],
    }


def _setting(note: Note) -> dict[str, str]:
    return {"key": note.key, "value": note.value, "outcome": note.outcome, "text": note.text}
