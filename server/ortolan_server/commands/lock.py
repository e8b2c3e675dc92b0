"""`ortolan lock`: write down where a model's nodes run, to be held against later."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from ortolan.v1 import findings_pb2 as pb
from ortolan_server.chains.contract import VerdictState
from ortolan_server.commands._console import BROKEN, FAILURE, answers, complain, message_dict, print_json
from ortolan_server.commands._durable import write_durably
from ortolan_server.commands._models import all_models
from ortolan_server.commands._opening import Subject, opened_here
from ortolan_server.commands._render_drift import drift_lines
from ortolan_server.lifecycle.locked import make_lock
from ortolan_server.repository.assignment_lock import AssignmentLock, lock_text
from ortolan_server.services.drift import drift_message
from ortolan_server.units import counted

__all__ = ["lock"]


def lock(
    model: Annotated[Path, typer.Argument(help="A model's folder, a .onnx file, or a repository.")],
    chain: Annotated[
        str, typer.Option(help="Providers from the top down, as in tensorrt,cuda,cpu; instead of model.toml's chain.")
    ] = "",
    *,
    allow_degraded: Annotated[
        bool, typer.Option("--allow-degraded", help="Write it also where the contract is not kept.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> None:
    """Open a model on its chain on this machine, and write where its nodes run into assignment.lock beside it.

    One for each version that would be served. Keep them in version control: `ortolan plan --locked` and every load hold
    the assignment against them, and name each node that has moved down. What has moved since the lock that was there
    before is printed.

    Nothing is written, and the exit status is 3, when the contract is not kept here; it is 1 when a model or the lock
    that is there cannot be read.

    For example:

    - `ortolan lock models/resnet`
    - `ortolan lock resnet.onnx --chain cuda,cpu`
    """
    with opened_here(all_models, model, chain, allow_degraded=allow_degraded) as subjects:
        # All are opened before the first is written: with one refused, nothing has changed.
        made = [
            _make(subject.whatever_moved(), version, allow_degraded=allow_degraded)
            for subject in subjects
            for version in subject.versions
        ]
    for new in made:
        _write(new)
    if as_json:
        print_json([new.summary for new in made])
    else:
        for new in made:
            _print(new)


@dataclass(frozen=True, slots=True)
class _NewLock:
    model: str
    version: int
    path: Path
    lock: AssignmentLock
    drift: pb.Drift | None
    """From the lock that was there before; None: there was none."""

    @property
    def summary(self) -> dict[str, object]:
        return {
            "model": self.model,
            "version": str(self.version),
            "path": str(self.path),
            "serving_provider": self.lock.serving,
            "nodes": {it.name: len(it.nodes) + len(it.shape_nodes) for it in self.lock.provider},
            "node_share": {it.name: it.node_share for it in self.lock.provider},
            "drift": None if self.drift is None else message_dict(self.drift),
        }


def _make(subject: Subject, version: int, *, allow_degraded: bool) -> _NewLock:
    """The lock of one version. Ends the command where there must be none."""
    report = subject.open(version)
    told = f"{subject.entry.name}/{version}: no lock is written: {report.verdict.sentence}"
    if report.verdict.state is VerdictState.BROKEN:
        complain(told)
        raise typer.Exit(BROKEN if report.contract_broken else FAILURE)
    if report.verdict.state is VerdictState.DEGRADED and not allow_degraded:
        complain(f"{told}; to write down all the same where the nodes run here: --allow-degraded")
        raise typer.Exit(BROKEN)
    path = subject.entry.versions[version]
    drift = None if report.drift is None else drift_message(report.drift, subject.config.lock.drift)
    return _NewLock(
        subject.entry.name, version, subject.lock_path(version), make_lock(subject.registry, path, report), drift
    )


def _write(new: _NewLock) -> None:
    try:
        write_durably(new.path, lock_text(new.lock).encode())
    except OSError as error:
        complain(f"{new.path}: cannot be written: {error.strerror}")
        raise typer.Exit(FAILURE) from error


def _print(new: _NewLock) -> None:
    """What was written, and how it differs from what was there before."""
    counts = [(len(it.nodes) + len(it.shape_nodes), it) for it in new.lock.provider]
    nodes = ", ".join(f"{counted(count, 'node')} on {it.name} ({it.node_share:.1%})" for count, it in counts)
    answers().print(Text(f"{new.path}: {nodes or 'no nodes'}", "bold"), soft_wrap=True)
    for line in drift_lines(new.drift) if new.drift else ():
        answers().print(line, soft_wrap=True)
