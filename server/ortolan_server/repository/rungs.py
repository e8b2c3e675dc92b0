"""Checks the rungs of a chain against the backends that are installed."""

from pathlib import Path

from ortolan_backends.catalog import Catalog
from ortolan_backends.contract import Backend
from ortolan_backends.errors import BackendError, InvalidOption
from ortolan_backends.options import ProviderOptions, parse_options
from ortolan_server.errors import InvalidConfig
from ortolan_server.repository.config import ModelToml
from ortolan_server.repository.tables import ChainRung

__all__ = ["check_chain"]


def check_chain(config: ModelToml, catalog: Catalog, file: Path | str) -> tuple[tuple[Backend, ProviderOptions], ...]:
    """The backend and the checked options of each rung, in order.

    Every rung is checked before anything is opened, those that may never be tried included. Raises
    InvalidConfig with one line for each rung that is wrong, each naming `file` and the rung, counted from 1.
    """
    rungs: list[tuple[Backend, ProviderOptions]] = []
    findings: list[str] = []
    for number, rung in enumerate(config.chain, start=1):
        try:
            backend = catalog.get(rung.provider)
            rungs.append((backend, parse_options(backend, rung.options)))
        except InvalidOption as error:
            findings.append(f"{file}: chain[{number}]: {error}{_misplaced(rung)}")
        except BackendError as error:  # no such backend, or a broken package
            findings.append(f"{file}: chain[{number}].provider: {error}")
    if findings:
        raise InvalidConfig("\n".join(findings))
    return tuple(rungs)


def _misplaced(rung: ChainRung) -> str:
    """A hint for keys of the file itself: TOML gives what stands below [[chain]] to that rung."""
    keys = [key for key in rung.options if key in ModelToml.model_fields]
    return f" ({', '.join(keys)}: write it above the first [[chain]])" if keys else ""
