"""What providers compile, built before a server wants it: each version on each rung that keeps what it compiles."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import structlog

from ortolan_backends.contract import Caches
from ortolan_backends.errors import RunFailed
from ortolan_backends.runtime.load_handle import LoadHandle
from ortolan_server.cache.entry import size_of
from ortolan_server.cache.use import CacheResult, CacheUse
from ortolan_server.chains.chain import Chain
from ortolan_server.chains.contract import Contract
from ortolan_server.chains.registry import Registry
from ortolan_server.chains.report import Attempt, AttemptOutcome
from ortolan_server.errors import InvalidConfig, LoadFailed
from ortolan_server.lifecycle.opening import OpenModel, open_model
from ortolan_server.lifecycle.warming import warm_up
from ortolan_server.repository import ModelEntry

__all__ = ["Ahead", "AheadOutcome", "Errand", "errand", "run_errand"]

log = structlog.get_logger()


class AheadOutcome(StrEnum):
    HIT = "HIT"
    """It was there."""
    BUILT = "BUILT"
    OWN = "OWN"
    """The rung's options keep it elsewhere."""
    ABSENT = "ABSENT"
    """The provider is not available here."""
    NOT_KEPT = "NOT_KEPT"
    """It opened, and nothing of it could be kept."""
    REFUSED = "REFUSED"

    @property
    def is_failure(self) -> bool:
        return self in (AheadOutcome.NOT_KEPT, AheadOutcome.REFUSED)


@dataclass(frozen=True, slots=True)
class Errand:
    """One version, with the rungs that keep what they compile."""

    entry: ModelEntry
    version: int
    chain: Chain | None = None
    rungs: tuple[int, ...] = ()
    """1 is the top."""
    fault: str = ""
    """Why there is no chain."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """What became of one rung; rung 0: of the version before a rung was tried."""

    model: str
    version: int
    outcome: AheadOutcome
    rung: int = 0
    provider: str = ""
    seconds: float = 0.0
    reason: str = ""
    use: CacheUse | None = None


def errand(registry: Registry, entry: ModelEntry, version: int) -> Errand:
    try:
        chain = registry.compose(entry.config, entry.where)
    except InvalidConfig as error:
        return Errand(entry, version, fault=str(error))
    rungs = tuple(number for number, rung in enumerate(chain.rungs, 1) if isinstance(rung.opening.backend, Caches))
    return Errand(entry, version, chain, rungs)


def run_errand(registry: Registry, task: Errand) -> Iterator[Ahead]:
    """One for each of its rungs, as each is done; a failure is an outcome and leaves the others alone."""
    if task.chain is None:
        yield Ahead(task.entry.name, task.version, AheadOutcome.REFUSED, reason=task.fault)
        return
    number = 1
    while number <= len(task.chain.rungs):
        if number not in task.rungs:
            number += 1
            continue
        found = _climb_from(registry, task, task.chain, number)
        yield from (found[rung] for rung in sorted(found))
        if 0 in found:
            return  # the model itself is at fault
        number = max(found) + 1


def _climb_from(registry: Registry, task: Errand, chain: Chain, first: int) -> Mapping[int, Ahead]:
    """By rung: what became of the first, and of those below it that were tried because it was refused."""
    entry, name, version = task.entry, task.entry.name, task.version
    try:
        for provider in chain.names[first - 1 :]:
            registry.probe(provider)  # not to be counted as time of the build
        opened = open_model(registry, entry.versions[version], _from(chain, first), entry.config, entry.folder)
        fault = _first_runs(opened, name)
    except Exception:  # a third party's backend may raise anything
        log.exception("warm_up_crashed", model=name, version=version)
        reason = "internal error: the log has the details"
        return {first: Ahead(name, version, AheadOutcome.REFUSED, first, chain.names[first - 1], reason=reason)}
    report = opened.report
    tried = [attempt for attempt in report.attempts if attempt.outcome is not AttemptOutcome.NOT_NEEDED]
    if not tried:
        return {0: Ahead(name, version, AheadOutcome.REFUSED, reason=report.verdict.sentence)}
    del opened, report  # some write when their session closes
    ended = {attempt.rung + first - 1: attempt for attempt in tried}
    last = max(ended)
    return {
        rung: _ahead(name, version, replace(attempt, rung=rung), fault if rung == last else "")
        for rung, attempt in ended.items()
        if rung in task.rungs or rung == last
    }


def _from(chain: Chain, first: int) -> Chain:
    """The rungs from there on, under a contract that every session keeps."""
    providers = {rung.name: rung.opening.backend.provider for rung in chain.rungs}
    return replace(chain, rungs=chain.rungs[first - 1 :], contract=Contract(providers, node_share=0.0), locked=None)


def _first_runs(opened: OpenModel, model: str) -> str:
    """What is compiled for the shapes of requests, for those that its samples have. Returns what went wrong."""
    if opened.report.session is None or opened.signature is None:
        tried = any(attempt.outcome is AttemptOutcome.OPENED for attempt in opened.report.attempts)
        return opened.report.verdict.sentence if tried else ""
    try:
        warm_up(opened.report.session, opened.signature, opened.samples, model, LoadHandle())
    except (LoadFailed, RunFailed) as error:
        return str(error)
    return ""


def _ahead(model: str, version: int, attempt: Attempt, fault: str) -> Ahead:
    use = attempt.cache
    if use is not None and use.folder:
        use = replace(use, size_bytes=size_of(Path(use.folder)))
    outcome, reason = _outcome(attempt, use, fault)
    return Ahead(model, version, outcome, attempt.rung, attempt.provider, attempt.seconds, reason, use)


def _outcome(attempt: Attempt, use: CacheUse | None, fault: str) -> tuple[AheadOutcome, str]:
    if attempt.outcome is AttemptOutcome.REFUSED:
        outcome = AheadOutcome.ABSENT if attempt.stage == "probe" else AheadOutcome.REFUSED
        return outcome, attempt.reason
    if fault:
        return AheadOutcome.REFUSED, fault
    if use is None:
        return AheadOutcome.OWN, "its options keep it elsewhere"
    if not use.folder:
        return AheadOutcome.NOT_KEPT, use.reason
    if use.result is CacheResult.STALE:
        return AheadOutcome.BUILT, f"stale: {use.reason}"
    return (AheadOutcome.HIT if use.result is CacheResult.HIT else AheadOutcome.BUILT), use.reason
