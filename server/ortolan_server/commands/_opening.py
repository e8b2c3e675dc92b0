"""Models opened on their chains here, as `plan` and `lock` do it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import typer

from ortolan_backends.catalog import Catalog
from ortolan_backends.errors import BackendError
from ortolan_backends.runtime.log import LogLine, RuntimeLog
from ortolan_server.chains.chain import Chain
from ortolan_server.chains.registry import Registry
from ortolan_server.chains.report import ChainReport
from ortolan_server.commands._console import FAILURE, USAGE, complain, others_on_stderr
from ortolan_server.errors import InvalidConfig, LoadFailed
from ortolan_server.lifecycle.opening import open_model
from ortolan_server.repository import ChainRung, ModelEntry, ModelToml
from ortolan_server.repository.assignment_lock import lock_path

__all__ = ["Subject", "opened_here"]


@dataclass(frozen=True, slots=True)
class Subject:
    """One model, and the chain that its versions are opened on."""

    registry: Registry
    entry: ModelEntry
    config: ModelToml
    """The model's, on the chain that was asked for."""
    chain: Chain

    @property
    def versions(self) -> tuple[int, ...]:
        """Those that would be served, the lowest first. Raises InvalidConfig."""
        return self.entry.wanted

    def open(self, version: int) -> ChainReport:
        """What would be served; what is wrong with the model is in the report."""
        with others_on_stderr():
            return open_model(
                self.registry, self.entry.versions[version], self.chain, self.config, self.entry.folder
            ).report

    def lock_path(self, version: int) -> Path:
        return lock_path(self.entry.versions[version], self.config.file)

    def whatever_moved(self) -> "Subject":
        """The same, where an assignment.lock refuses nothing: what has moved is in the report all the same."""
        contract = replace(self.chain.contract, on_drift="warn")
        return replace(self, chain=replace(self.chain, contract=contract))


@contextmanager
def opened_here(
    entries: Callable[[Path], Iterable[ModelEntry]], path: Path, chain: str, *, allow_degraded: bool = False
) -> Iterator[list[Subject]]:
    """What `entries` finds at `path`, on the chain of `--chain`, or its own if that is empty.

    What is wrong is told, and ends the command.
    """
    runtime_log = RuntimeLog(_quiet)
    runtime_log.start()
    try:
        registry = Registry(Catalog.from_entry_points(), runtime_log, allow_degraded=allow_degraded)
        found = entries(path)
        yield [_on_chain_of(chain, registry, entry) if chain else _on_its_own(registry, entry) for entry in found]
    except (InvalidConfig, LoadFailed, BackendError) as error:
        complain(str(error))
        raise typer.Exit(FAILURE) from error
    finally:
        runtime_log.stop()


def _on_its_own(registry: Registry, entry: ModelEntry) -> Subject:
    return Subject(registry, entry, entry.config, registry.compose(entry.config, entry.where))


def _on_chain_of(flag: str, registry: Registry, entry: ModelEntry) -> Subject:
    """On the chain that --chain names. One that is none is a usage error."""
    try:
        config = _on_chain(entry.config, flag)
        return Subject(registry, entry, config, registry.compose(config, "--chain"))
    except InvalidConfig as error:
        complain(str(error))
        raise typer.Exit(USAGE) from error


def _quiet(_line: LogLine) -> None:
    """What ONNX Runtime logs during an attempt is kept with the attempt."""


def _on_chain(config: ModelToml, chain: str) -> ModelToml:
    """The model's configuration with its rungs replaced; rungs of the same name keep their options."""
    options = {rung.provider: rung.options for rung in config.chain}
    names = [name.strip() for name in chain.split(",")]
    rungs = tuple(ChainRung.of(name, options.get(name, {})) for name in names if name)
    if not rungs:
        raise InvalidConfig("--chain names no provider")
    return config.on_chain(rungs)
