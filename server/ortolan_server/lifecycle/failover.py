"""What a version does when the device under it fails: down its chain at once, and up again when the device is back."""

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import structlog

from ortolan_backends.errors import DeviceFailure, LoadCancelled, RunHung
from ortolan_backends.runtime.session import Session
from ortolan_server.chains.chain import Chain
from ortolan_server.chains.contract import VerdictState
from ortolan_server.chains.registry import Registry
from ortolan_server.chains.report import Attempt, AttemptOutcome, ChainReport
from ortolan_server.lifecycle.allowed import allowed_below, why_unfit
from ortolan_server.lifecycle.history import EventKind, History, Step
from ortolan_server.lifecycle.opening import OpenModel
from ortolan_server.lifecycle.recovery import Outcome

__all__ = ["Failover", "Falling"]

log = structlog.get_logger()

# Runs end when their device has failed. One that hangs does not, and its session's memory stays with it.
_END_OF_RUNS_S = 1.0


class Falling(Protocol):
    """The version, as far as its failover needs it. Its `turn` is held by whoever changes its state."""

    model: str
    version: str
    history: History

    @property
    def turn(self) -> AbstractContextManager[object]: ...

    @property
    def serves(self) -> bool: ...

    @property
    def answers(self) -> bool:
        """It serves, or is being drained and has calls to answer yet."""
        ...

    def runs_on(self, session: Session) -> bool:
        """False once another has taken its place."""
        ...

    @property
    def report(self) -> ChainReport | None: ...

    def doubt(self, reason: str) -> None:
        """It serves on as DEGRADED, if it serves: its calls wait for another session."""
        ...

    def seat(self, opened: OpenModel, reason: str = "") -> None:
        """From now on calls run on that session; `reason`: why not on the one before."""
        ...

    def fail(self, reason: str) -> None:
        """It serves no more; calls that wait are told why."""
        ...


class Failover:
    """Of one version. `open_on` opens the model on the rungs given, warmed up, and never raises for what it finds.

    It raises LoadCancelled once the version goes.
    """

    def __init__(
        self,
        version: Falling,
        registry: Registry,
        open_on: Callable[[Sequence[int]], OpenModel],
        lost_rung: Callable[[], None],
        *,
        standby: bool,
    ) -> None:
        """`lost_rung` is called when a rung was lost, so that it is tried again some time."""
        self._version = version
        self._registry = registry
        self._open_on = open_on
        self._lost_rung = lost_rung
        self._wants_standby = standby
        self._standby: OpenModel | None = None
        self._prepared = threading.Event()
        """Whether the last standby that was begun is open, or has come to nothing."""
        self._prepared.set()
        self.lost: frozenset[int] = frozenset()
        """Rungs whose device failed while it served there, above the one that serves now."""

    @property
    def standby_rung(self) -> int:
        """Of the session that is open aside; 0: none."""
        standby = self._standby
        return standby.report.rung if standby else 0

    def device_failed(self, error: DeviceFailure, session: Session) -> bool:
        """Under `session`; on the thread of the run. True: another one will come, for which the calls may wait."""
        version = self._version
        with version.turn:
            report = version.report
            if not version.answers or report is None:
                return False
            if not version.runs_on(session):
                return True  # it has climbed back meanwhile
            served = version.serves
            provider = report.provider
            self.lost |= {report.rung}
            version.history.note(EventKind.DEVICE_FAILED, str(error), Step(report.rung, provider))
            if error.sticky:
                self._registry.losses.note(report.chain.rungs[report.rung - 1].opening.backend.provider, str(error))
            reason = f"the device failed while serving on {provider}: {error}"
            below = allowed_below(report.chain, report.rung)
            if below:
                version.doubt(f"{reason}; rung {below[0]} is being opened")
                gone = None if isinstance(error, RunHung) else session.gone
                self._start("failover", lambda: self._fall(report, below, reason, gone), self._fell_badly)
            else:
                version.fail(reason)
        if served and not below:
            self._lost_rung()
        return bool(below)

    def climb_back(self) -> Outcome:
        """Tries the rungs above the one that serves. On the thread of the recovery."""
        version = self._version
        report = version.report
        if not version.serves or report is None or report.rung <= 1:
            return Outcome.OVER
        above = [number for number in range(1, report.rung) if not self._is_lost(report.chain, number)]
        if not above:
            return Outcome.OVER
        if reason := why_unfit(self._registry, report.chain, above):
            return self._not_yet(report, reason)
        try:
            opened = self._open_on(above)
        except LoadCancelled:
            return Outcome.OVER
        verdict = opened.report.verdict
        keeps = report.verdict.state is VerdictState.KEPT
        # What keeps the contract does not give way to what breaks it.
        if opened.report.session is None or (keeps and verdict.state is not VerdictState.KEPT):
            return self._not_yet(report, verdict.sentence)
        return self._rise(report, opened)

    def prepare(self) -> None:
        """Opens the next rung aside, where the model's owner wants that and the contract allows one."""
        report = self._version.report
        if self._wants_standby and report is not None and (below := allowed_below(report.chain, report.rung)):
            prepared = self._prepared = threading.Event()
            try:
                self._start("standby", lambda: self._prepare(report, below, prepared))
            except RuntimeError as error:  # the process may have no more threads: what serves is none the worse
                prepared.set()
                self._refuse_standby(str(error))

    def close(self) -> None:
        self._standby, self._wants_standby = None, False

    def _fall(self, report: ChainReport, below: Sequence[int], reason: str, gone: threading.Event | None) -> None:
        """`gone`: set once the failed session is; None: nobody knows whether that will be."""
        version = self._version
        opened = self._take_standby(report.chain)
        if opened is None and gone is not None:
            gone.wait(_END_OF_RUNS_S)  # the next may need its room
        opened = opened or self._open_on(below)
        if opened.report.session is None:
            self._prepared.wait()  # what was being prepared may have taken the room
            opened = self._take_standby(report.chain) or opened
        step = Step(report.rung, report.provider, opened.report.rung, opened.report.provider)
        with version.turn:
            served = version.serves
            if not version.answers or version.report is not report:
                pass  # it has climbed back meanwhile, or has gone
            elif opened.report.session is None:
                version.fail(f"{reason}; and no rung below can serve: {opened.report.verdict.sentence}")
            else:
                self._standby = None  # one that came too late
                version.history.note(EventKind.FAILED_OVER, reason, step)
                self._log(log.warning, "model_failed_over", step, reason=reason)
                version.seat(opened.following(_with_failure(report, reason)), reason)
        if served:
            self._lost_rung()
        if version.serves:
            self.prepare()

    def _rise(self, report: ChainReport, opened: OpenModel) -> Outcome:
        version = self._version
        step = Step(report.rung, report.provider, opened.report.rung, opened.report.provider)
        with version.turn:
            if not version.serves or version.report is not report:
                return Outcome.OVER  # it has fallen further, or goes
            version.history.note(EventKind.RECOVERED, f"{step.to_provider} works again", step)
            self._log(log.info, "model_recovered", step)
            self._standby = None  # of the rung that served, or one below it
            self.lost = frozenset(number for number in self.lost if number < step.to_rung)
            version.seat(opened.following(report.attempts))
        self.prepare()
        return Outcome.PARTLY if self.lost else Outcome.RECOVERED

    def _take_standby(self, chain: Chain) -> OpenModel | None:
        with self._version.turn:
            standby, self._standby = self._standby, None
        return None if standby is None or self._is_lost(chain, standby.report.rung) else standby

    def _is_lost(self, chain: Chain, number: int) -> bool:
        return self._registry.losses.probe(chain.rungs[number - 1].opening.backend.provider) is not None

    def _not_yet(self, report: ChainReport, reason: str) -> Outcome:
        version = self._version
        version.history.note(EventKind.PROBE_FAILED, reason, Step(report.rung, report.provider))
        log.info("recovery_postponed", model=version.model, version=version.version, reason=reason)
        return Outcome.NOT_YET

    def _prepare(self, report: ChainReport, below: Sequence[int], prepared: threading.Event) -> None:
        try:
            self._keep_aside(report, self._open_on(below))
        finally:
            prepared.set()

    def _keep_aside(self, report: ChainReport, opened: OpenModel) -> None:
        version = self._version
        if opened.report.session is None:
            self._refuse_standby(opened.report.verdict.sentence)
            return
        with version.turn:
            if not (version.answers and self._wants_standby and version.report is report):
                return  # another rung serves now, or none
            self._standby = opened
        about = {"model": version.model, "version": version.version}
        log.info("standby_ready", provider=opened.report.provider, rung=opened.report.rung, **about)

    def _refuse_standby(self, reason: str) -> None:
        version = self._version
        log.warning("standby_refused", reason=reason, model=version.model, version=version.version)

    def _log(self, say: Callable[..., object], event: str, step: Step, **more: object) -> None:
        version = self._version
        about = {"model": version.model, "version": version.version}
        say(event, from_provider=step.provider, to_provider=step.to_provider, rung=step.to_rung, **about, **more)

    def _fell_badly(self) -> None:
        self._version.fail("internal error: the server's log has the details")
        self._lost_rung()

    def _start(self, what: str, work: Callable[[], None], crashed: Callable[[], None] = lambda: None) -> None:
        version = self._version
        name = f"{what}-{version.model}/{version.version}"

        def guarded() -> None:
            try:
                work()
            except LoadCancelled as error:
                log.info("failover_cancelled", model=version.model, version=version.version, reason=str(error))
            except Exception:
                log.exception("failover_crashed", thread=name, model=version.model, version=version.version)
                crashed()

        threading.Thread(target=guarded, name=name, daemon=True).start()


def _with_failure(report: ChainReport, reason: str) -> tuple[Attempt, ...]:
    """The attempts of a report whose session has failed since."""
    return tuple(
        Attempt(attempt.rung, attempt.provider, AttemptOutcome.REFUSED, "run", reason, attempt.seconds, attempt.log)
        if attempt.rung == report.rung
        else attempt
        for attempt in report.attempts
    )
