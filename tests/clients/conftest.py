import socket
from collections.abc import Iterator

import pytest

from ortolan_client import Client
from tests.clients.canned import CannedServer


@pytest.fixture
def canned() -> Iterator[CannedServer]:
    with CannedServer() as server:
        yield server


@pytest.fixture
def client(canned: CannedServer) -> Iterator[Client]:
    with Client(canned.address, timeout_s=20) as client:
        yield client


@pytest.fixture
def unused_tcp_address() -> Iterator[str]:
    """An address where nobody listens: the port is bound, and so nobody else can take it meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"
