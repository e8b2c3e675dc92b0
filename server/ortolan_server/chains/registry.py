"""The registry: backends by name, their probes, and chains composed of them."""

import threading
from collections.abc import Mapping

from ortolan_backends.catalog import Catalog
from ortolan_backends.contract import Backend, Probe
from ortolan_backends.runtime.log import RuntimeLog
from ortolan_backends.runtime.model import ModelFile
from ortolan_backends.runtime.session import OpenRung
from ortolan_server.chains.contract import Contract
from ortolan_server.chains.ladder import Chain, ChainReport, Climb, Rung
from ortolan_server.repository import ModelToml, Require
from ortolan_server.repository.rungs import check_chain

__all__ = ["Registry"]

# Without [require]: rung 1 or nothing, and at least half of the model on it.
_IMPLIED_NODE_SHARE = 0.5


class Registry:
    """Composes and opens chains. Probes are made once and kept: hardware does not come and go."""

    def __init__(self, catalog: Catalog, log: RuntimeLog, *, allow_degraded: bool = False) -> None:
        """`allow_degraded`: models without [require] may serve at a lower rung, and say DEGRADED."""
        self._catalog = catalog
        self._log = log
        self._allow_degraded = allow_degraded
        self._probes: dict[str, Probe] = {}
        self._probing = threading.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        return self._catalog.names()

    def backend(self, name: str) -> Backend:
        """Raises UnknownProvider, and BackendError when its package is broken."""
        return self._catalog.get(name)

    def short_name(self, provider: str) -> str:
        return self._catalog.short_name(provider)

    def probe(self, name: str, *, refresh: bool = False) -> Probe:
        """What the backend finds on this machine; `refresh` looks again."""
        with self._probing:
            if refresh or name not in self._probes:
                self._probes[name] = self._catalog.get(name).probe()
            return self._probes[name]

    def compose(self, config: ModelToml, where: str) -> Chain:
        """The chain of a model's configuration; `where` names its file in errors. Raises InvalidConfig."""
        checked = check_chain(config, self._catalog, where)
        rungs = tuple(
            Rung(rung.provider, _as_text(rung.options), OpenRung(backend, options))
            for rung, (backend, options) in zip(config.chain, checked, strict=True)
        )
        return Chain(rungs, self._contract(config.require, rungs))

    def open(self, model: ModelFile, chain: Chain) -> ChainReport:
        """Climbs the chain with a model."""
        return Climb(chain, self.probe, self._log).run(model)

    def _contract(self, require: Require | None, rungs: tuple[Rung, ...]) -> Contract:
        providers = {rung.name: rung.opening.backend.provider for rung in rungs}
        if require is None:
            top = rungs[0].name
            return Contract(
                providers={top: providers[top]},
                node_share=_IMPLIED_NODE_SHARE,
                otherwise="degrade" if self._allow_degraded else "fail",
                implied=True,
            )
        return Contract(
            providers={name: providers[name] for name in require.provider},
            node_share=require.node_share,
            forbid_on_cpu=frozenset(require.forbid_on_cpu),
            otherwise=require.otherwise,
        )


def _as_text(options: Mapping[str, object]) -> dict[str, str]:
    return {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in options.items()}
