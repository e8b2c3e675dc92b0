"""Every status has a class, and a message over a limit says which setting to raise."""

import grpc
import numpy as np
import pytest

import ortolan_client
from ortolan_client import (
    Cancelled,
    Client,
    DeadlineExceeded,
    InvalidInput,
    MessageTooLarge,
    NotAllowed,
    NotFound,
    NotSupported,
    OrtolanClientError,
    Overloaded,
    ServerError,
    Unavailable,
)
from tests.clients.canned import CannedServer, Refused

CODES = {
    "ABORTED": ServerError,
    "ALREADY_EXISTS": ServerError,
    "CANCELLED": Cancelled,
    "DATA_LOSS": ServerError,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
    "FAILED_PRECONDITION": ServerError,
    "INTERNAL": ServerError,
    "INVALID_ARGUMENT": InvalidInput,
    "NOT_FOUND": NotFound,
    "OUT_OF_RANGE": InvalidInput,
    "PERMISSION_DENIED": NotAllowed,
    "RESOURCE_EXHAUSTED": Overloaded,
    "UNAUTHENTICATED": NotAllowed,
    "UNAVAILABLE": Unavailable,
    "UNIMPLEMENTED": NotSupported,
    "UNKNOWN": ServerError,
}
ONE = {"y": np.ones(1, np.float32)}


def test_every_code_is_in_the_table() -> None:
    assert CODES.keys() == {code.name for code in grpc.StatusCode} - {"OK"}


@pytest.mark.parametrize("name", CODES)
def test_a_status_becomes_its_class(client: Client, canned: CannedServer, name: str) -> None:
    canned.failure = Refused(grpc.StatusCode[name], "because of größe")
    with pytest.raises(OrtolanClientError) as caught:
        client.infer("echo", ONE)
    error = caught.value
    assert type(error) is CODES[name]
    assert (error.code, error.message, error.model) == (name, "because of größe", "echo")
    assert str(error) == f"{name}: because of größe"
    assert isinstance(error.__cause__, grpc.RpcError)


def test_the_hierarchy_is_drawn_whole() -> None:
    from ortolan_client import _errors  # noqa: PLC0415

    public = [getattr(ortolan_client, name) for name in ortolan_client.__all__]
    errors = [thing.__name__ for thing in public if issubclass(thing, Exception)]
    assert [name for name in errors if name not in (_errors.__doc__ or "")] == []


def test_calls_without_a_model_and_other_services_map_alike(client: Client) -> None:
    with pytest.raises(NotFound, match="unknown service") as caught:
        client.health("nothing")
    assert caught.value.model == "nothing"
    with pytest.raises(NotAllowed, match="--allow-control"):
        client.load("simple")
    with pytest.raises(NotFound, match="no model 'gone'"):
        client.assignment("gone")


def test_nobody_there(unused_tcp_address: str) -> None:
    with Client(unused_tcp_address, timeout_s=5, retries=0) as client:
        with pytest.raises(Unavailable, match="Connection refused"):
            client.server_live()
        with pytest.raises(Unavailable):
            next(client.watch())
        with pytest.raises(Unavailable):
            client.health()


def test_every_call_has_a_deadline(canned: CannedServer) -> None:
    canned.answering.clear()
    with Client(canned.address, timeout_s=0.2) as client:
        for call in (client.server_live, client.health, client.server, lambda: client.infer("echo", ONE)):
            with pytest.raises(DeadlineExceeded):
                call()
    with Client(canned.address, timeout_s=60) as client, pytest.raises(DeadlineExceeded):
        client.infer("echo", ONE, timeout_s=0.2)


def test_a_request_over_the_servers_limit_names_its_flag() -> None:
    with CannedServer(max_message_bytes=1000) as canned, Client(canned.address, timeout_s=20) as client:
        with pytest.raises(MessageTooLarge, match="--max-message-size") as caught:
            client.infer("echo", {"y": np.zeros(1000, np.float32)})
        assert caught.value.code == "RESOURCE_EXHAUSTED"
        assert client.infer("echo", ONE)["y"] == 1


def test_a_limit_that_the_server_words_itself_is_not_named_twice(client: Client, canned: CannedServer) -> None:
    words = "the message is larger than max: 9 vs. 8 bytes; the limit is ortolan serve --max-message-size"
    canned.failure = Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, words)
    with pytest.raises(MessageTooLarge) as caught:
        client.infer("echo", ONE)
    assert caught.value.message == words


def test_a_message_over_the_clients_limit_names_its_argument(canned: CannedServer) -> None:
    with Client(canned.address, timeout_s=20, max_message_bytes=1000) as client:
        with pytest.raises(MessageTooLarge, match="max_message_bytes"):
            client.infer("echo", {"y": np.zeros(1000, np.float32)})
        assert canned.requests == []


@pytest.mark.parametrize("address", ["localhost", "http://localhost:8001", "[::1]"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="an address is HOST:PORT"):
        Client(address)
