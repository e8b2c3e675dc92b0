"""How many threads work on one operator of each model."""

from collections.abc import Mapping

import structlog

from ortolan_server.allocation import share_threads
from ortolan_server.repository import ModelToml

__all__ = ["threads_of_the_rest", "warn_of_too_many"]

log = structlog.get_logger()


def threads_of_the_rest(cores: int, configs: Mapping[str, ModelToml]) -> int:
    """For each model, by name, that does not say it itself."""
    return share_threads(cores, _explicit(configs), len(configs))


def warn_of_too_many(cores: int, configs: Mapping[str, ModelToml]) -> None:
    """Says in the log when models ask for more threads than there are cores: their runs then slow each other down."""
    explicit = _explicit(configs)
    threads = sum(explicit.values())
    if threads > cores:
        log.warning(
            "threads_exceed_cores",
            cores=cores,
            threads=threads,
            models=explicit,
            text="as `threads` in their [[chain]] says; leave it out for a share of the cores",
        )


def _explicit(configs: Mapping[str, ModelToml]) -> dict[str, int]:
    threads = {name: _own_threads(config) for name, config in configs.items()}
    return {name: count for name, count in threads.items() if count > 0}


def _own_threads(config: ModelToml) -> int:
    """As written for the provider whose options are the session's; 0: not written."""
    for rung in config.chain:
        threads = rung.options.get("threads")
        if rung.provider == "cpu" and isinstance(threads, int):  # not yet checked
            return threads
    return 0
