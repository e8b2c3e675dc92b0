"""The registry: backends by name, their probes, and chains composed of them."""

import threading
import time
from collections.abc import Mapping

from ortolan_backends.catalog import Catalog
from ortolan_backends.checks import probe_safely
from ortolan_backends.contract import Availability, Backend, Probe
from ortolan_backends.runtime.log import RuntimeLog
from ortolan_backends.runtime.model import ModelFile
from ortolan_backends.runtime.session import OpenRung, Session, open_session
from ortolan_server.cache.cache import Cache, Opened
from ortolan_server.chains.bounded import open_within
from ortolan_server.chains.budget import Budget, Holder
from ortolan_server.chains.chain import Chain, Rung
from ortolan_server.chains.contract import Contract
from ortolan_server.chains.ladder import Climb
from ortolan_server.chains.load import Load
from ortolan_server.chains.losses import Losses
from ortolan_server.chains.mixes import refuse_mixes
from ortolan_server.chains.numeric import Compare, not_compared
from ortolan_server.chains.report import ChainReport
from ortolan_server.repository import DEFAULT_NODE_SHARE, ModelToml
from ortolan_server.repository.rungs import check_chain

__all__ = ["Registry"]

# What a probe finds missing may be mended while the server runs; what it finds in order stays so.
_LOOK_AGAIN_S = 30.0


class Registry:
    """Composes and opens chains, and keeps what the probes of their backends found."""

    def __init__(
        self,
        catalog: Catalog,
        log: RuntimeLog,
        *,
        allow_degraded: bool = False,
        cache: Cache | None = None,
        budget: Budget | None = None,
    ) -> None:
        """`allow_degraded`: models without [require] may serve at a lower rung, and say DEGRADED.

        `cache`: of what providers compile; without it each opening compiles anew. `budget`: of the memory that all
        sessions together may take; without it there is none but that of their devices.
        """
        self._catalog = catalog
        self._log = log
        self._cache = cache
        self._allow_degraded = allow_degraded
        self.budget = budget or Budget()
        self._probes = {name: _KeptProbe() for name in catalog.names()}
        self.losses = Losses()

    @property
    def names(self) -> tuple[str, ...]:
        return self._catalog.names()

    def backend(self, name: str) -> Backend:
        """Raises UnknownProvider, and BackendError when its package is broken."""
        return self._catalog.get(name)

    def short_name(self, provider: str) -> str:
        return self._catalog.short_name(provider)

    def probe(self, name: str, *, refresh: bool = False) -> Probe:
        """What the backend finds on this machine; `refresh` looks again. Raises as `backend()`."""
        backend = self._catalog.get(name)
        if lost := self.losses.probe(backend.provider):
            return lost
        kept = self._probes[name]
        with kept.lock:
            if refresh or kept.is_stale(time.monotonic()):
                kept.probe = probe_safely(backend)
                kept.made_s = time.monotonic()
            assert kept.probe is not None  # noqa: S101 - just made
            return kept.probe

    def look_again(self) -> None:
        """What was found missing may have been mended: the next probe of it looks."""
        for kept in self._probes.values():
            with kept.lock:
                if kept.probe is not None and kept.probe.availability is not Availability.AVAILABLE:
                    kept.probe = None

    def compose(self, config: ModelToml, where: str) -> Chain:
        """The chain of a model's configuration; `where` names its file in errors. Raises InvalidConfig."""
        checked = check_chain(config, self._catalog, where)
        names = [(rung.provider, backend.provider) for rung, (backend, _) in zip(config.chain, checked, strict=True)]
        refuse_mixes(names, where)
        rungs = tuple(
            Rung(rung.provider, _as_text(rung.options), OpenRung(backend, options))
            for rung, (backend, options) in zip(config.chain, checked, strict=True)
        )
        return Chain(rungs, self._contract(config, rungs), self.short_name)

    def open(
        self, model: ModelFile, chain: Chain, compare: Compare = not_compared, load: Load | None = None
    ) -> ChainReport:
        """Climbs the chain with a model, or those of its rungs that `load` has. Raises LoadCancelled."""
        return Climb(chain, self.probe, self._log, self._cache, compare, self.budget).run(model, load or Load())

    def open_on_cpu(self, model: ModelFile, chain: Chain, load: Load) -> Session:
        """The model on the CPU alone, with the options that the chain has for it. Raises OpenRefused, LoadCancelled."""
        backend = self._catalog.get("cpu")
        written = (rung.opening for rung in chain.rungs if rung.opening.backend.provider == backend.provider)
        opening = next(written, OpenRung(backend, backend.options()))

        holder = Holder(load.model, load.version, "numeric check (cpu)")

        def opened() -> Opened:
            return open_session(
                model, [opening], self._log, threads=chain.threads, handle=load.handle, name=str(holder)
            )

        return open_within(self.budget, holder, model, opening, Probe(()), opened)[0]

    def _contract(self, config: ModelToml, rungs: tuple[Rung, ...]) -> Contract:
        require = config.require
        providers = {rung.name: rung.opening.backend.provider for rung in rungs}
        if require is None:
            top = rungs[0].name
            return Contract(
                providers={top: providers[top]},
                node_share=DEFAULT_NODE_SHARE,
                otherwise="degrade" if self._allow_degraded else "fail",
                on_drift=config.lock.drift,
                implied=True,
            )
        return Contract(
            providers={name: providers[name] for name in require.provider},
            node_share=require.node_share,
            forbid_on_cpu=frozenset(require.forbid_on_cpu),
            otherwise=require.otherwise,
            on_drift=config.lock.drift,
        )


class _KeptProbe:
    """A backend's last probe; its lock lets one caller look at a time, and those of other backends meanwhile."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.probe: Probe | None = None
        self.made_s = 0.0

    def is_stale(self, now_s: float) -> bool:
        if self.probe is None:
            return True
        return self.probe.availability is not Availability.AVAILABLE and now_s - self.made_s > _LOOK_AGAIN_S


def _as_text(options: Mapping[str, object]) -> dict[str, str]:
    return {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in options.items()}
