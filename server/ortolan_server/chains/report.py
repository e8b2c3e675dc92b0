"""What a climb found out: how each attempt ended, and which session serves."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from ortolan_backends.runtime.assignment import Assignment
from ortolan_backends.runtime.session import Session
from ortolan_server.cache.use import CacheUse
from ortolan_server.chains.chain import Chain, ProviderNames
from ortolan_server.chains.contract import Verdict, VerdictState
from ortolan_server.chains.drift import Drift
from ortolan_server.chains.numeric import NumericCheck

__all__ = ["Attempt", "AttemptOutcome", "ChainReport", "refusals"]


class AttemptOutcome(StrEnum):
    OPENED = "OPENED"
    REFUSED = "REFUSED"
    NOT_NEEDED = "NOT_NEEDED"


@dataclass(frozen=True, slots=True)
class Attempt:
    """How opening at one rung ended."""

    rung: int
    """1 is the top."""
    provider: str
    outcome: AttemptOutcome
    stage: str = ""
    """Where a refused attempt ended: `probe`, `memory`, `attach`, `open`, `read`, `contract`, `lock`, `numeric` or
    `warm`; `run`: its device failed while it served."""
    reason: str = ""
    seconds: float = 0.0
    log: tuple[str, ...] = ()
    """ONNX Runtime's lines during the attempt, warnings and worse."""
    cache: CacheUse | None = None
    """What the cache had for its provider; None: it compiles nothing that is kept, or there is no cache."""
    numeric: NumericCheck | None = None
    """How its answers compare with the CPU's; None: they were not to be compared."""


@dataclass(frozen=True, slots=True)
class ChainReport:
    """All that the climb found out. Without a session the model is not served."""

    chain: Chain
    attempts: tuple[Attempt, ...]
    verdict: Verdict
    session: Session | None = None
    assignment: Assignment | None = None
    rung: int = 0
    """The serving rung; 0: none."""
    drift: Drift | None = None
    """Of the serving rung, else of the highest that was opened, from the model's assignment.lock; None without one."""
    model_at_fault: bool = False
    """Is it the model or its model.toml that keeps it from serving, whatever the rungs are?"""

    @classmethod
    def untried(cls, chain: Chain, reason: str) -> "ChainReport":
        """Of a model that is not served, and no rung was tried."""
        return cls(chain, (), Verdict(VerdictState.BROKEN, (reason,)), model_at_fault=True)

    @property
    def contract_broken(self) -> bool:
        """Were its rungs tried, and none may serve? Of a model that is at fault itself no contract is judged."""
        return self.verdict.state is VerdictState.BROKEN and not self.model_at_fault

    def following(self, before: Sequence[Attempt]) -> "ChainReport":
        """With what was found out before at the rungs above the serving one that were not tried again."""
        known = {attempt.rung: attempt for attempt in before}
        attempts = tuple(
            known.get(attempt.rung, attempt)
            if attempt.outcome is AttemptOutcome.NOT_NEEDED and attempt.rung < self.rung
            else attempt
            for attempt in sorted(self.attempts, key=lambda attempt: attempt.rung)
        )
        return replace(self, attempts=attempts)

    @property
    def provider_names(self) -> ProviderNames:
        """How the providers of the session are called."""
        return self.chain.provider_names(self.rung)

    @property
    def provider(self) -> str:
        """The serving rung's provider by short name; empty: none."""
        return self.chain.rungs[self.rung - 1].name if self.rung else ""

    def refused(self, stage: str, reason: str) -> "ChainReport":
        """This report with the serving rung refused after all, at a stage that comes after the climb."""
        attempts = tuple(
            replace(attempt, outcome=AttemptOutcome.REFUSED, stage=stage, reason=reason)
            if attempt.rung == self.rung
            else attempt
            for attempt in self.attempts
        )
        return replace(self, attempts=attempts).broken(*refusals(attempts))

    def broken(self, *reasons: str) -> "ChainReport":
        """This report of a model that is not served after all."""
        return replace(self, verdict=Verdict(VerdictState.BROKEN, reasons), session=None, rung=0)

    def unfit(self, reason: str) -> "ChainReport":
        """This report of a model that is not served after all, as it does not fit what its model.toml says of it."""
        return replace(self.broken(reason), model_at_fault=True)


def refusals(attempts: Sequence[Attempt]) -> tuple[str, ...]:
    """A sentence for each that was refused."""
    return tuple(
        f"rung {attempt.rung} ({attempt.provider}) refused at {attempt.stage}: {attempt.reason}"
        for attempt in attempts
        if attempt.outcome is AttemptOutcome.REFUSED
    )
