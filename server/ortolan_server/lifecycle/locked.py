"""A model and its assignment.lock: held against it when it is opened, and made of what was opened."""

from dataclasses import replace
from pathlib import Path

from ortolan_backends.runtime.model import ModelFile, read_model
from ortolan_server.chains.chain import Chain
from ortolan_server.chains.load import Load
from ortolan_server.chains.locking import (
    Surroundings,
    changed_options,
    differences,
    lock_of,
    locked_placement,
    look_around,
)
from ortolan_server.chains.numeric import Compare
from ortolan_server.chains.registry import Registry
from ortolan_server.chains.report import ChainReport
from ortolan_server.errors import LoadFailed
from ortolan_server.repository.assignment_lock import AssignmentLock, hash_files, read_lock

__all__ = ["make_lock", "open_against_lock"]


def open_against_lock(  # noqa: PLR0913 - all that a model is opened with
    registry: Registry, model: ModelFile, chain: Chain, path: Path, compare: Compare, load: Load
) -> ChainReport:
    """Climbs the chain, or those of its rungs that `load` has; where there is a lock at `path`, each rung is held
    against it, and the report says what differs. `compare` is the numeric check.

    Raises InvalidConfig for a lock that is wrong, LoadFailed when the model's files cannot be read, LoadCancelled.
    """
    if not path.exists():
        return registry.open(model, chain, compare, load)
    lock = read_lock(path)
    report = registry.open(model, replace(chain, locked=locked_placement(lock)), compare, load)
    if report.drift is None:  # nothing was opened
        return report
    around = _look_around(registry, model, [provider.name for provider in lock.provider])
    found = differences(lock, chain, around)
    if report.assignment is not None:
        now = lock_of(report.chain, report.rung, report.assignment, around)
        found = (*found, *changed_options(lock.provider, now.provider))
    return replace(report, drift=replace(report.drift, differences=(*report.drift.differences, *found)))


def make_lock(registry: Registry, path: Path, report: ChainReport) -> AssignmentLock:
    """The lock of what was opened from the model file at `path`. Raises LoadFailed.

    The report must have an assignment.
    """
    assert report.assignment is not None  # noqa: S101 - said above
    names = report.provider_names
    providers = [names[share.provider] for share in report.assignment.shares]
    around = _look_around(registry, read_model(path), providers)
    return lock_of(report.chain, report.rung, report.assignment, around)


def _look_around(registry: Registry, model: ModelFile, providers: list[str]) -> Surroundings:
    try:
        files = hash_files(model.path, model.proto)
    except OSError as error:
        raise LoadFailed(f"{error.filename}: cannot be read: {error.strerror}") from error
    return look_around(files, providers, registry.probe)
