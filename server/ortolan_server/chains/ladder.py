"""The climb: one attempt per rung, from the top, until a session keeps the contract."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from ortolan_backends.contract import Availability, Probe
from ortolan_backends.errors import OpenRefused, UnservableModel
from ortolan_backends.runtime.assignment import Assignment, read_assignment
from ortolan_backends.runtime.log import RuntimeLog
from ortolan_backends.runtime.model import ModelFile
from ortolan_backends.runtime.session import OpenRung, Session, open_session
from ortolan_server.cache.cache import Cache, Opened
from ortolan_server.cache.use import CacheUse
from ortolan_server.chains.bounded import open_within
from ortolan_server.chains.budget import Budget, Holder
from ortolan_server.chains.chain import Chain, Rung
from ortolan_server.chains.contract import Verdict, VerdictState
from ortolan_server.chains.drift import Drift
from ortolan_server.chains.load import Load
from ortolan_server.chains.numeric import Compare, NumericCheck, not_compared
from ortolan_server.chains.report import Attempt, AttemptOutcome, ChainReport, refusals
from ortolan_server.chains.ways_out import ways_out

__all__ = ["Climb"]


@dataclass(frozen=True, slots=True)
class _Opened:
    number: int
    session: Session
    assignment: Assignment
    verdict: Verdict
    drift: Drift | None


class Climb:
    """Opens one model on one chain. Use once."""

    def __init__(  # noqa: PLR0913 - all that an opening needs
        self,
        chain: Chain,
        probe: Callable[[str], Probe],
        log: RuntimeLog,
        cache: Cache | None = None,
        compare: Compare = not_compared,
        budget: Budget | None = None,
    ) -> None:
        """`compare` holds the answers of each session that may serve against the CPU's."""
        self._chain = chain
        self._probe = probe
        self._log = log
        self._cache = cache
        self._compare = compare
        self._budget = budget or Budget()
        self._load = Load()
        self._use: CacheUse | None = None
        self._numeric: NumericCheck | None = None
        self._attempts: list[Attempt] = []
        self._drift: Drift | None = None

    def run(self, model: ModelFile, load: Load) -> ChainReport:
        """Tries the rungs in order, or those of `load` only.

        Never raises for what a rung or a model can do: the report says it. Raises LoadCancelled.
        """
        self._load = load
        fallback: _Opened | None = None
        try:
            for number in load.rungs or range(1, len(self._chain.rungs) + 1):
                opened = self._attempt(number, model)
                if opened and opened.verdict.state is VerdictState.KEPT:
                    return self._report(opened, opened.verdict)
                if opened and opened.verdict.state is VerdictState.DEGRADED:
                    fallback = fallback or opened
                del opened  # a session that will not serve must not hold the memory that the next rung needs
        except UnservableModel as error:
            return replace(self._broken((error.reason,)), model_at_fault=True)
        if fallback:
            return self._report(fallback, self._degraded(fallback))
        refused = {attempt.stage: attempt.rung for attempt in reversed(self._attempts)}
        return self._broken((*refusals(self._attempts), *ways_out(refused, implied=self._chain.contract.implied)))

    def _attempt(self, number: int, model: ModelFile) -> _Opened | None:
        """One rung with those below it; None when it has no session to offer."""
        rung = self._chain.rungs[number - 1]
        start = time.monotonic()
        log: tuple[str, ...] = ()
        self._use = self._numeric = None
        self._load.handle.require_wanted()
        try:
            self._require_available(rung)
            openings, left_out = self._with_those_below(number)
            session, lines = self._open(number, model, openings)
            log = (*left_out, *(line.text for line in lines if line.is_problem))
            opened = self._read(number, session, model)
        except OpenRefused as error:
            self._note(number, AttemptOutcome.REFUSED, error.stage, error.reason, start, log or error.log)
            if isinstance(error, UnservableModel):
                raise
            return None
        self._drift = self._drift or opened.drift
        verdict = opened.verdict
        if verdict.state is not VerdictState.BROKEN:
            self._numeric = self._compare(opened.session, opened.assignment)
        if self._numeric and self._numeric.fault:
            self._note(number, AttemptOutcome.REFUSED, "numeric", self._numeric.fault, start, log)
            return None
        if verdict.state is VerdictState.KEPT:
            self._note(number, AttemptOutcome.OPENED, "", "", start, log)
        else:
            self._note(number, AttemptOutcome.REFUSED, verdict.stage, "; ".join(verdict.reasons), start, log)
        return opened

    def _open(self, number: int, model: ModelFile, openings: list[OpenRung]) -> Opened:
        """Within the budget, and through the cache for what the rung on top compiles."""
        top, *below = openings
        name = self._chain.rungs[number - 1].name
        probe = self._probe(name)
        holder = Holder(self._load.model, self._load.version, f"rung {number} ({name})")

        def opening(first: OpenRung) -> Opened:
            return open_session(
                model,
                [first, *below],
                self._log,
                threads=self._chain.threads,
                handle=self._load.handle,
                name=str(holder),
            )

        def cached() -> Opened:
            if self._cache is None:
                return opening(top)
            opened, self._use = self._cache.open(model, top, probe, opening, self._load.handle)
            return opened

        return open_within(self._budget, holder, model, top, probe, cached)

    def _with_those_below(self, number: int) -> tuple[list[OpenRung], list[str]]:
        """A rung and its fallbacks for single nodes, and a sentence for each fallback that is left out.

        One that is not available here could keep the whole session from opening; a session takes each
        provider once.
        """
        top, *below = self._chain.rungs[number - 1 :]
        openings = {top.opening.backend.provider: top.opening}
        left_out = []
        for rung in below:
            provider = rung.opening.backend.provider
            if provider in openings:
                left_out.append(f"left out below: {rung.name}: a session takes each provider once")
            elif self._probe(rung.name).availability is Availability.UNAVAILABLE:
                left_out.append(f"left out below: {rung.name}: {self._probe(rung.name).reason}")
            else:
                openings[provider] = rung.opening
        return list(openings.values()), left_out

    def _require_available(self, rung: Rung) -> None:
        found = self._probe(rung.name)
        if found.availability is Availability.UNAVAILABLE:
            mend = f" ({found.mend})" if found.mend else ""
            raise OpenRefused(f"{found.reason}{mend}", stage="probe")

    def _read(self, number: int, session: Session, model: ModelFile) -> _Opened:
        compiling = [other.opening.backend.provider for other in self._chain.rungs if other.opening.backend.compiles]
        assignment = read_assignment(session, model, compiling)
        provider = self._chain.rungs[number - 1].opening.backend.provider
        if assignment.nodes and not assignment.count(provider):
            takers = ", ".join(f"{len(share.nodes)} on {share.provider}" for share in assignment.shares)
            raise OpenRefused(f"ONNX Runtime gave {provider} none of the model's nodes: {takers}", stage="read")
        verdict, drift = self._chain.judge(number, assignment), self._chain.drift(number, assignment)
        return _Opened(number, session, assignment, verdict, drift)

    def _note(  # noqa: PLR0913 - the fields of an attempt
        self, number: int, outcome: AttemptOutcome, stage: str, reason: str, start: float, log: tuple[str, ...]
    ) -> None:
        provider = self._chain.rungs[number - 1].name
        seconds = time.monotonic() - start
        use, numeric = self._use, self._numeric
        self._attempts.append(Attempt(number, provider, outcome, stage, reason, seconds, log, use, numeric))

    def _degraded(self, opened: _Opened) -> Verdict:
        """The verdict of a session that serves although its contract is broken, or nodes have moved down."""
        above = refusals([attempt for attempt in self._attempts if attempt.rung < opened.number])
        return replace(opened.verdict, reasons=(*above, *opened.verdict.reasons))

    def _report(self, opened: _Opened, verdict: Verdict) -> ChainReport:
        tried = {attempt.rung for attempt in self._attempts}
        rest = [
            Attempt(number, rung.name, AttemptOutcome.NOT_NEEDED)
            for number, rung in enumerate(self._chain.rungs, 1)
            if number not in tried
        ]
        attempts = [_serving(attempt) if attempt.rung == opened.number else attempt for attempt in self._attempts]
        return ChainReport(
            self._chain,
            (*attempts, *rest),
            verdict,
            opened.session,
            opened.assignment,
            rung=opened.number,
            drift=opened.drift,
        )

    def _broken(self, reasons: tuple[str, ...]) -> ChainReport:
        verdict = Verdict(VerdictState.BROKEN, reasons)
        return ChainReport(self._chain, tuple(self._attempts), verdict, drift=self._drift)


def _serving(attempt: Attempt) -> Attempt:
    """The attempt whose session serves, its contract kept or not: the verdict says which."""
    return replace(attempt, outcome=AttemptOutcome.OPENED, stage="", reason="")
