"""One version of a model, from its load to its unload."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import structlog

from ortolan_backends.errors import DeviceFailure, LoadCancelled
from ortolan_backends.runtime.heap import give_back
from ortolan_backends.runtime.load_handle import LoadHandle
from ortolan_backends.runtime.session import Session
from ortolan_server.chains.chain import Chain
from ortolan_server.chains.contract import VerdictState
from ortolan_server.chains.load import Load
from ortolan_server.chains.registry import Registry
from ortolan_server.chains.report import ChainReport
from ortolan_server.engine.call import InferenceCall, Pump, Reply, Ticket
from ortolan_server.engine.engine import BatchLimits, Engine, Serving
from ortolan_server.engine.schedule import Occupancy
from ortolan_server.engine.statistics import Snapshot, Statistics
from ortolan_server.errors import InvalidConfig, ModelNotReady, ServerStopping
from ortolan_server.lifecycle.failover import Failover
from ortolan_server.lifecycle.history import EventKind, History, Step
from ortolan_server.lifecycle.opener import Opener
from ortolan_server.lifecycle.opening import OpenModel
from ortolan_server.lifecycle.recovery import Outcome
from ortolan_server.lifecycle.seating import serving_on
from ortolan_server.lifecycle.states import State, advance
from ortolan_server.repository import Batching, ModelToml
from ortolan_server.tensors import Signature

__all__ = ["ModelVersion"]

log = structlog.get_logger()

SeatName = tuple[str, int]
"""Provider (short name) and rung of a session."""


class ModelVersion:
    """Holds a session, its engine and what is known of both. A reload makes a new one."""

    def __init__(  # noqa: PLR0913 - what a version is
        self,
        model: str,
        number: int,
        path: Path,
        config: ModelToml,
        changed: Callable[["ModelVersion"], None],
        history: History | None = None,
        *,
        warnings: tuple[str, ...] = (),
    ) -> None:
        """`changed` is told of every change of what can be seen of it; `history` goes on from the version before."""
        self.model = model
        self.number = number
        self.version = str(number)
        """The number as the protocol writes it."""
        self.path = path
        self.config = config
        self.history = history or History()
        self.warnings = warnings
        """Of its configuration: what it asks for and does not get."""
        self.state = State.NEW
        self._reason = ""
        self._awaits_session = True
        self.report: ChainReport | None = None
        """Without its session, which is the engine's alone: it must go when its device has failed."""
        self.chain: Chain | None = None
        self.statistics = Statistics()
        """Of the session that serves, or of the last that did."""
        self.by_seat: dict[SeatName, Statistics] = {}
        """Of each session that serves or served, by where it was."""
        self.loaded_at: datetime | None = None
        self.changed_at: datetime | None = None
        self.load_s = 0.0
        self.failover: Failover | None = None
        # A worker whose device failed and an unload may want the next state at once.
        self.turn = threading.RLock()
        self._opening = LoadHandle()
        self._signature: Signature | None = None
        self._engine: Engine | None = None
        self._taking: Engine | None = None
        """The engine, while the version serves."""
        self._changed = changed

    @property
    def reason(self) -> str:
        """Why it is not READY; of a READY one, why its last reload was refused, or why it is on a lower rung.

        While it has no session, with what its opening is at.
        """
        return "; ".join(filter(None, (self._reason, self._opening.doing if self._awaits_session else "")))

    @property
    def serves(self) -> bool:
        return self.state.serves

    @property
    def answers(self) -> bool:
        """Are there calls that it may still answer? So while it is being drained, too."""
        return self.state.answers and not self.cancelled

    def runs_on(self, session: Session) -> bool:
        engine = self._engine
        return engine is not None and engine.runs_on(session)

    @property
    def contract_broken(self) -> bool:
        """See `ChainReport.contract_broken`."""
        return self.report is not None and self.report.contract_broken

    @property
    def signature(self) -> Signature:
        """Inputs and outputs. Raises ModelNotReady before a session was opened."""
        if self._signature is None:
            raise self.not_ready()
        return self._signature

    @property
    def occupancy(self) -> Occupancy:
        """What waits and runs now; nothing without a session."""
        engine = self._engine
        return Occupancy() if engine is None else engine.occupancy

    def snapshots(self) -> list[Snapshot]:
        """Counts of all its sessions, the one that serves last; at least one."""
        others = [each for each in list(self.by_seat.values()) if each is not self.statistics]
        return [each.snapshot() for each in (*others, self.statistics)]

    @property
    def lost_threads(self) -> int:
        """Whose runs hang and were abandoned."""
        engine = self._engine
        return 0 if engine is None else engine.lost_threads

    def not_ready(self) -> ModelNotReady:
        reason = f": {self.reason}" if self.reason else ""
        return ModelNotReady(f"model {self.model!r} version {self.version} is {self.state}{reason}")

    def refuse(self, reason: str) -> None:
        """FAILED, without a look at the model."""
        self._advance(State.FAILED, reason)

    def load(
        self, registry: Registry, where: str, folder: Path, threads: int, lost_rung: Callable[[], None] = lambda: None
    ) -> None:
        """Opens the session, warms it up and starts its engine. Ends READY, DEGRADED or FAILED; never raises for the
        model.

        `where` names its model.toml in errors, and `folder` is that file's. `threads` work on one operator, unless its
        chain says otherwise. `lost_rung` is called when a device has failed while it served, whether or not a lower
        rung could take its place.
        """
        self._advance(State.LOADING)
        try:
            self._load(registry, where, folder, threads, lost_rung)
        except LoadCancelled as error:
            self.report = None  # what was found out is not all there is
            self.fail(str(error))
        except Exception:
            # A third party's backend may raise anything: the other models must not suffer.
            log.exception("model_load_crashed", model=self.model, version=self.version)
            self.fail("internal error: the server's log has the details")
        if self.state is State.FAILED:
            give_back()

    def _load(self, registry: Registry, where: str, folder: Path, threads: int, lost_rung: Callable[[], None]) -> None:
        start = time.monotonic()
        try:
            self.chain = chain = replace(registry.compose(self.config, where), threads=threads)
        except InvalidConfig as error:
            self._advance(State.FAILED, str(error))
            return
        load = Load(handle=self._opening, model=self.model, version=self.version)
        opener = Opener(registry, self.path, chain, self.config, folder, load, self._opening_takes_long)

        def warming(opened: OpenModel) -> None:
            self.report = replace(opened.report, session=None)
            if self.state is State.LOADING:
                self._advance(State.WARMING)

        opened = opener.first(warming)
        self.load_s = time.monotonic() - start
        self.loaded_at = datetime.now(UTC)
        self.report = report = replace(opened.report, session=None)
        self.chain = report.chain  # with the model's lock
        if opened.signature is None:
            self._advance(State.FAILED, report.verdict.sentence)
            return
        self._signature = opened.signature
        self.failover = Failover(self, registry, opener.on, lost_rung, standby=self.config.failover.standby)
        with self.turn:
            self._opening.require_wanted()  # from here on `unload()` finds the engine
            self.history.note(EventKind.LOADED, step=Step(to_rung=report.rung, to_provider=report.provider))
            self.seat(opened)
            if not self.serves:  # cancelled at this moment
                self._opening.require_wanted()
        self.failover.prepare()

    def seat(self, opened: OpenModel, reason: str = "") -> None:
        """From now on calls run on the session of `opened`. `reason`: why it is not the one that served before.

        Under `turn`. A version that is being drained keeps its state, and one that has gone takes nothing.
        """
        if self._opening.cancelled:
            return
        report = opened.report
        self._awaits_session = False
        name = (report.provider, report.rung)
        self.statistics = self.by_seat.setdefault(name, Statistics())
        serving = serving_on(opened, self.statistics, self.config.failover)
        before = self._engine
        if before is not None:
            before.hold()  # whoever is told of this session gets it, and whoever is answered by it has been told
        self._engine = before or self._start_engine(serving)
        self.report = replace(report, session=None)
        if self.serves or self.state is State.WARMING:
            kept = report.verdict.state is VerdictState.KEPT
            why = reason if kept else "; ".join(filter(None, (reason, report.verdict.sentence)))
            self._become(State.READY if kept else State.DEGRADED, why)
        if before is not None:
            before.serve(serving)

    def doubt(self, reason: str) -> None:
        """The device failed, and another session is awaited: until then calls wait. Under `turn`.

        A version that is being drained keeps its state.
        """
        self._awaits_session = True
        if self.serves:
            self._become(State.DEGRADED, reason)

    def fail(self, reason: str) -> None:
        """Ends a version that had a session: whatever its contract said, it serves no more.

        One that is being drained goes anyway, without those that wait for it.
        """
        with self.turn:
            if self.state in (State.FAILED, State.UNLOADED):
                return
            if self.state is State.DRAINING:
                self._reason = reason
            else:
                if self.report is not None:
                    self.report = self.report.broken(reason)
                self._advance(State.FAILED, reason)
            engine = self._engine
        if engine is not None:
            engine.refuse_waiting(self.not_ready())

    @property
    def lost_rungs(self) -> frozenset[int]:
        """Whose device failed while it served there, above the one that serves now."""
        return frozenset() if self.failover is None else self.failover.lost

    def still_lacks(self, before: "ModelVersion") -> bool:
        """Is it below a rung that the version before it had lost?"""
        report = self.report
        return report is not None and any(number < report.rung for number in before.lost_rungs)

    def climb_back(self) -> Outcome:
        """Tries the rungs above the one that serves."""
        return Outcome.OVER if self.failover is None else self.failover.climb_back()

    def submit(self, call: InferenceCall, reply: Reply, pump: Pump | None = None) -> Ticket:
        """Hands a call to the engine. Raises ModelNotReady when there is none to take it."""
        engine = self._taking
        if engine is None:
            raise self.not_ready()
        try:
            return engine.submit(call, reply, pump)
        except ServerStopping as error:
            raise self.not_ready() from error

    def cancel(self, reason: str) -> None:
        """Whatever is being opened for it is given up; a load that goes on ends FAILED. Any thread."""
        self._opening.cancel(reason)

    @property
    def cancelled(self) -> bool:
        return self._opening.cancelled

    def unload(self, timeout_s: float) -> None:
        """Finishes what is queued, for at most `timeout_s`, then lets the session go. It opens none from then on."""
        with self.turn:
            if self.serves:
                self._advance(State.DRAINING)
            engine = self._engine
        if engine is not None:
            engine.drain(timeout_s if self.state is State.DRAINING else 0.0)
        with self.turn:  # what is being seated is, and nothing after it
            self.cancel("the model was unloaded")  # only now: calls may have waited for the next rung
        if engine is not None:
            engine.stop()
        with self.turn:
            self._engine = None
            if self.failover is not None:
                self.failover.close()
            if self.state is State.DRAINING:
                self._advance(State.UNLOADED)
        give_back()

    def reload_refused(self, reason: str) -> None:
        """Keeps the reason why a newer load of this version was not taken."""
        self.history.note(EventKind.RELOAD_REFUSED, reason)
        with self.turn:
            if self.serves:  # its device may have failed meanwhile
                self._reason = f"it serves on; its reload was refused: {reason}"
        self._changed(self)

    def _start_engine(self, serving: Serving) -> Engine:
        limits, batching = self.config.limits, self.config.batching
        engine = Engine(
            serving,
            queue_limit=limits.queue,
            queue_bytes=limits.queue_size,
            concurrency=limits.concurrency,
            batching=None if batching is None else _batch_limits(batching),
            name=f"{self.model}/{self.version}",
            on_device_failure=self._device_failed,
        )
        engine.start()
        return engine

    def _device_failed(self, error: DeviceFailure, session: object) -> bool:
        return (
            self.failover is not None and isinstance(session, Session) and self.failover.device_failed(error, session)
        )

    def _become(self, state: State, reason: str) -> None:
        """Serves as READY or DEGRADED, also when it did already."""
        if self.state is not state:
            self._advance(state, reason)
            return
        self._reason = reason
        self._tell()

    def _advance(self, state: State, reason: str = "") -> None:
        self.state = advance(self.state, state)
        self._taking = self._engine if state.serves else None
        self._reason = reason
        if state in (State.FAILED, State.UNLOADED):
            self._awaits_session = False
        self._tell()

    def _opening_takes_long(self) -> None:
        text = self._opening.doing or "no session is opened now: files are read, providers probed or answers compared"
        log.warning("opening_takes_long", model=self.model, version=self.version, text=text)
        self._tell()

    def _tell(self) -> None:
        self.changed_at = datetime.now(UTC)
        self._changed(self)


def _batch_limits(batching: Batching) -> BatchLimits:
    return BatchLimits(batching.max_size, batching.max_delay_ms / 1000, frozenset(batching.preferred_sizes))
