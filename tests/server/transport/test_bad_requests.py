"""The table of bad requests against one real server."""

from collections.abc import Iterator

import pytest

from tests.conformance.bad_requests import SERVER_FLAGS, TABLE
from tests.conformance.models import write_repository
from tests.conformance.sending import BadRequest
from tests.conformance.verdicts import answer_fault, log_faults
from tests.conformance.wire import Wire
from tests.serving import RunningServer, running_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    repository = tmp_path_factory.mktemp("models")
    write_repository(repository)
    with running_server(repository, *SERVER_FLAGS) as server:
        yield server
    assert not log_faults(server), "\n".join(log_faults(server))


@pytest.fixture(scope="module")
def wire(server: RunningServer) -> Iterator[Wire]:
    with Wire(server.address) as wire:
        yield wire


@pytest.mark.parametrize("row", TABLE, ids=[row.name for row in TABLE])
def test_bad_request_is_answered_as_the_table_says_and_the_server_goes_on(row: BadRequest, wire: Wire) -> None:
    assert not answer_fault(row, wire)


def test_table_has_no_row_twice() -> None:
    names = [row.name for row in TABLE]
    assert len(set(names)) == len(names)
