"""What tests of the server's rooms share: real sessions of tiny models, on the CPU and on fakes of it."""

import gc
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import pytest

from ortolan_backends.runtime.log import RuntimeLog
from ortolan_server.allocation import Allocation
from ortolan_server.chains.registry import Registry
from ortolan_server.lifecycle.manager import ModelManager
from ortolan_server.repository import Repository
from tests.faulty_provider.faulty import Faulty
from tests.server.chains.fakes import catalog

Manage = Callable[..., ModelManager]

DRAIN_S = 10.0


@pytest.fixture
def registry(request: pytest.FixtureRequest, runtime_log: RuntimeLog) -> Registry:
    """Of the fakes, or of the provider `faulty` where the test asks for it."""
    faulty: Faulty | None = request.getfixturevalue("faulty") if "faulty" in request.fixturenames else None
    return Registry(faulty.catalog() if faulty else catalog(), runtime_log)


@pytest.fixture
def manage(registry: Registry) -> Iterator[Manage]:
    """`manage(folder)`: a manager of the repository there; what it loads is stopped at the end."""
    managers: list[ModelManager] = []

    def make(folder: Path, *, loaded: bool = True, initial: Collection[str] | None = None) -> ModelManager:
        repository = Repository.scan(folder, allow_empty=True)
        manager = ModelManager(repository, registry, Allocation(cores=2), drain_timeout_s=DRAIN_S, initial=initial)
        managers.append(manager)
        if loaded:
            manager.load_all()
        return manager

    yield make
    for manager in managers:
        manager.stop(0.0)


@pytest.fixture
def no_collector() -> Iterator[None]:
    """What is given back is so at once, not when the garbage collector looks."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
