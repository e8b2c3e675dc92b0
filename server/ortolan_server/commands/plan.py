"""`ortolan plan`: open a model's chain here without serving it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ortolan.v1 import provider_reflection_pb2 as pb
from ortolan_server.commands._console import BROKEN, FAILURE, USAGE, answers, complain, message_dict, print_json
from ortolan_server.commands._models import all_models, only_model
from ortolan_server.commands._opening import Subject, opened_here
from ortolan_server.commands._render import render_assignment
from ortolan_server.commands._render_drift import print_drift
from ortolan_server.repository import ModelEntry
from ortolan_server.services.reports import report_message

__all__ = ["plan"]


def plan(
    model: Annotated[Path, typer.Argument(help="A model's folder or a .onnx file; with --locked a repository too.")],
    chain: Annotated[
        str, typer.Option(help="Providers from the top down, as in tensorrt,cuda,cpu; instead of model.toml's chain.")
    ] = "",
    *,
    locked: Annotated[
        bool, typer.Option("--locked", help="Say only what has moved since ortolan lock; exit status 3 if down.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the assignment as JSON.")] = False,
) -> None:
    """Open a model on its chain on this machine, and show what would be served.

    Prints each attempt and why it was refused, which node went to which provider, and the verdict of the contract.
    Meant for a model's own CI too: exit status 3 when the contract is broken.

    With --locked each version that would be served is held against its assignment.lock, of a whole repository if you
    like: exit status 3 when a node has moved down or a contract is broken, 2 when there is no lock, 1 when a model or
    a lock cannot be read.

    For example:

    - `ortolan plan models/resnet`
    - `ortolan plan resnet.onnx --chain cuda,cpu --json`
    - `ortolan plan models --locked`
    """
    with opened_here(all_models if locked else _one, model, chain) as subjects:
        status = _compare(subjects, as_json=as_json) if locked else _show(subjects[0], as_json=as_json)
    if status:
        raise typer.Exit(status)


def _one(path: Path) -> list[ModelEntry]:
    return [only_model(path)]


def _show(subject: Subject, *, as_json: bool) -> int:
    """The highest version that would be served. Returns the exit status."""
    message = _planned(subject, subject.versions[-1])
    if as_json:
        print_json(message_dict(message))
    else:
        answers().print(render_assignment(message))
    if message.verdict.state == pb.Verdict.BROKEN:
        return BROKEN
    return 0 if message.serving_rung else FAILURE


def _compare(subjects: Sequence[Subject], *, as_json: bool) -> int:
    """Every version that would be served, with its lock. Returns the exit status."""
    paths = [subject.lock_path(version) for subject in subjects for version in subject.versions]
    if missing := [path for path in paths if not path.exists()]:
        for path in missing:
            complain(f"{path} does not exist: ortolan lock writes it")
        return USAGE
    messages = [_held(subject, version) for subject in subjects for version in subject.versions]
    if as_json:
        print_json([_summary(message) for message in messages])
    else:
        print_drift(messages)
    if any(message.drift.moved_down or message.verdict.state == pb.Verdict.BROKEN for message in messages):
        return BROKEN
    return 0 if all(message.serving_rung for message in messages) else FAILURE


def _held(subject: Subject, version: int) -> pb.Assignment:
    """One version with its lock, which refuses nothing: a lower rung is named by its nodes too."""
    message = _planned(subject.whatever_moved(), version)
    if message.HasField("drift"):
        message.drift.policy = subject.chain.contract.on_drift
    return message


def _planned(subject: Subject, version: int) -> pb.Assignment:
    message = report_message(subject.open(version), omit_nodes=False)
    message.verdict.warnings.extend(subject.entry.warnings)
    message.model, message.version = subject.entry.name, str(version)
    return message


def _summary(message: pb.Assignment) -> dict[str, object]:
    whole = message_dict(message)
    return {key: whole.get(key) for key in ("model", "version", "serving_provider", "verdict", "drift")}
