"""Clients of others, unchanged, against one real server."""

from collections.abc import Callable, Iterator
from importlib.util import find_spec

import pytest

from tests.conformance import ortolan_calls, triton_aio_calls, triton_calls, triton_streams
from tests.conformance.models import write_repository
from tests.conformance.peers import kserve_outcomes
from tests.conformance.verdicts import log_faults
from tests.serving import running_server

CALLS = [
    pytest.param(call, id=f"{module.CLIENT}-{call.__name__}")
    for module in (triton_calls, triton_streams, triton_aio_calls, ortolan_calls)
    for call in module.CALLS
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    repository = tmp_path_factory.mktemp("models")
    write_repository(repository)
    with running_server(repository) as server:
        yield server.address
    assert not log_faults(server), "\n".join(log_faults(server))


@pytest.mark.parametrize("call", CALLS)
def test_client_gets_what_numpy_says(call: Callable[[str], None], address: str) -> None:
    call(address)


@pytest.mark.skipif(find_spec("kserve") is None, reason="kserve has no release for this interpreter")
def test_kserve_client_gets_what_numpy_says(address: str) -> None:
    outcomes = list(kserve_outcomes(address))
    assert outcomes
    assert not [outcome for outcome in outcomes if outcome.fault]
