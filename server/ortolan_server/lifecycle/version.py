"""One version of a model, from its load to its unload."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import structlog

from ortolan_backends.errors import DeviceFailure, OutOfMemory
from ortolan_server.chains.chain import Chain
from ortolan_server.chains.contract import Verdict, VerdictState
from ortolan_server.chains.ladder import ChainReport
from ortolan_server.chains.registry import Registry
from ortolan_server.engine.call import InferenceCall, Pump, Reply, Ticket
from ortolan_server.engine.engine import BatchLimits, Engine
from ortolan_server.engine.schedule import Occupancy
from ortolan_server.engine.statistics import Statistics
from ortolan_server.errors import InvalidConfig, LoadFailed, ModelNotReady
from ortolan_server.lifecycle.opening import open_model
from ortolan_server.lifecycle.states import State, advance
from ortolan_server.lifecycle.warming import warm_up
from ortolan_server.repository import Batching, ModelToml
from ortolan_server.tensors import Signature

__all__ = ["ModelVersion"]

log = structlog.get_logger()


class ModelVersion:
    """Holds a session, its engine and what is known of both. A reload makes a new one."""

    def __init__(
        self, model: str, number: int, path: Path, config: ModelToml, changed: Callable[["ModelVersion"], None]
    ) -> None:
        self.model = model
        self.number = number
        self.version = str(number)
        """The number as the protocol writes it."""
        self.path = path
        self.config = config
        self.state = State.NEW
        self.reason = ""
        """Why it is not READY; of a READY one, why its last reload was refused."""
        self.report: ChainReport | None = None
        self.chain: Chain | None = None
        self.statistics = Statistics()
        self.loaded_at: datetime | None = None
        self.load_s = 0.0
        self.served_by: tuple[str, int] = ("", 0)
        """Provider (short name) and rung of the session that `statistics` is of, also once it is gone."""
        self._signature: Signature | None = None
        self._engine: Engine | None = None
        self._taking: Engine | None = None
        """The engine, while the version serves."""
        # A worker whose device failed and an unload may want the next state at once.
        self._turn = threading.RLock()
        self._changed = changed

    @property
    def serves(self) -> bool:
        return self.state.serves

    @property
    def contract_broken(self) -> bool:
        """Were its rungs tried, and none may serve? Not so for a model that could not even be read."""
        report = self.report
        return report is not None and bool(report.attempts) and report.verdict.state is VerdictState.BROKEN

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

    def not_ready(self) -> ModelNotReady:
        reason = f": {self.reason}" if self.reason else ""
        return ModelNotReady(f"model {self.model!r} version {self.version} is {self.state}{reason}")

    def refuse(self, reason: str) -> None:
        """FAILED, without a look at the model."""
        self._advance(State.FAILED, reason)

    def load(self, registry: Registry, where: str, folder: Path, threads: int) -> None:
        """Opens the session, warms it up and starts its engine. Ends READY, DEGRADED or FAILED; never raises for the
        model.

        `where` names its model.toml in errors, and `folder` is that file's. `threads` work on one operator, unless its
        chain says otherwise.
        """
        self._advance(State.LOADING)
        try:
            self._load(registry, where, folder, threads)
        except Exception:
            # A third party's backend may raise anything: the other models must not suffer.
            log.exception("model_load_crashed", model=self.model, version=self.version)
            self._fail("internal error: the server's log has the details")

    def _load(self, registry: Registry, where: str, folder: Path, threads: int) -> None:
        start = time.monotonic()
        try:
            self.chain = replace(registry.compose(self.config, where), threads=threads)
        except InvalidConfig as error:
            self._advance(State.FAILED, str(error))
            return
        opened = open_model(registry, self.path, self.chain, self.config, folder)
        self.load_s = time.monotonic() - start
        self.loaded_at = datetime.now(UTC)
        self.report = opened.report
        self.chain = opened.report.chain  # with the model's lock
        session = opened.report.session
        if session is None or opened.signature is None:
            self._advance(State.FAILED, opened.report.verdict.sentence)
            return
        self._advance(State.WARMING)
        try:
            warm_up(session, opened.signature, opened.samples, self.model)
        except DeviceFailure as error:
            self._fail(f"the device failed at the first run: {error}")
            return
        except (LoadFailed, OutOfMemory) as error:
            self.report = opened.report.refused("warm", str(error))
            self._advance(State.FAILED, self.report.verdict.sentence)
            return
        self._signature = opened.signature
        self.served_by = (opened.report.provider, opened.report.rung)
        limits, batching = self.config.limits, self.config.batching
        self._engine = Engine(
            session,
            queue_limit=limits.queue,
            queue_bytes=limits.queue_size,
            concurrency=limits.concurrency,
            batching=None if batching is None else _batch_limits(batching),
            may_run_inline=opened.is_predictable,
            statistics=self.statistics,
            name=f"{self.model}/{self.version}",
            on_device_failure=self._device_failed,
        )
        self._engine.start()
        kept = opened.report.verdict.state is VerdictState.KEPT
        self._advance(State.READY if kept else State.DEGRADED, "" if kept else opened.report.verdict.sentence)

    def submit(self, call: InferenceCall, reply: Reply, pump: Pump | None = None) -> Ticket:
        """Hands a call to the engine. Raises ModelNotReady when there is none to take it."""
        engine = self._taking
        if engine is None:
            raise self.not_ready()
        return engine.submit(call, reply, pump)

    def unload(self, timeout_s: float) -> None:
        """Finishes what is queued, for at most `timeout_s`, then lets the session go."""
        with self._turn:
            if self.serves:
                self._advance(State.DRAINING)
            engine = self._engine
        if engine is not None:
            engine.drain(timeout_s if self.state is State.DRAINING else 0.0)
            engine.stop()
            self._engine = None
        if self.report is not None:
            self.report = replace(self.report, session=None)  # the last reference: its memory goes now
        with self._turn:
            if self.state is State.DRAINING:
                self._advance(State.UNLOADED)

    def reload_refused(self, reason: str) -> None:
        """Keeps the reason why a newer load of this version was not taken."""
        self.reason = f"it serves on; its reload was refused: {reason}"
        self._changed(self)

    def _device_failed(self, error: DeviceFailure) -> None:
        with self._turn:
            if self.serves:
                self._fail(f"the device failed while serving: {error}")

    def _fail(self, reason: str) -> None:
        """Ends a version that had a session: whatever its contract said, it serves no more."""
        if self.report is not None:
            verdict = Verdict(VerdictState.BROKEN, (reason,))
            self.report = replace(self.report, verdict=verdict, session=None, rung=0)
        self._advance(State.FAILED, reason)

    def _advance(self, state: State, reason: str = "") -> None:
        self.state = advance(self.state, state)
        self._taking = self._engine if state.serves else None
        self.reason = reason
        self._changed(self)


def _batch_limits(batching: Batching) -> BatchLimits:
    return BatchLimits(batching.max_size, batching.max_delay_ms / 1000, frozenset(batching.preferred_sizes))
