"""Several servers, and servers that fail: what is tried again, and who gets the calls."""

from collections.abc import Callable
from contextlib import ExitStack

import grpc
import numpy as np
import pytest

from ortolan.inference import inference_pb2 as v2
from ortolan_client import Client, OrtolanClientError, Tls, Unavailable
from ortolan_client._addresses import find_target
from tests.certificates import Chains
from tests.clients.canned import CannedServer, Refused

ONE = {"y": np.ones(1, np.float32)}
# Over the 256 KiB that gRPC by itself keeps for another attempt.
LARGE = {"y": np.ones(2**18, np.float32)}


def inferences(canned: CannedServer) -> int:
    return sum(isinstance(request, v2.ModelInferRequest) for request in canned.requests)


@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (1, 2), (3, 4), (4, 5)])
def test_what_is_unavailable_is_tried_again(canned: CannedServer, retries: int, attempts: int) -> None:
    canned.failure = Refused(grpc.StatusCode.UNAVAILABLE, "not now")
    with Client(canned.address, timeout_s=20, retries=retries) as client, pytest.raises(Unavailable, match="not now"):
        client.infer("echo", ONE)
    assert inferences(canned) == attempts


def test_large_requests_are_tried_again(client: Client, canned: CannedServer) -> None:
    canned.failure = Refused(grpc.StatusCode.UNAVAILABLE, "not now")
    with pytest.raises(Unavailable):
        client.infer("echo", LARGE)
    assert inferences(canned) == 4


@pytest.mark.parametrize("call", [Client.load, Client.unload, Client.plan])
def test_what_opens_or_drops_a_model_is_sent_once(
    client: Client, canned: CannedServer, call: Callable[[Client, str], object]
) -> None:
    canned.failure = Refused(grpc.StatusCode.UNAVAILABLE, "not now")
    with pytest.raises(Unavailable):
        call(client, "echo")
    assert len(canned.requests) == 1


def test_a_server_that_comes_back_answers(client: Client, canned: CannedServer) -> None:
    canned.failures += [Refused(grpc.StatusCode.UNAVAILABLE, "not now")] * 2
    assert client.infer("echo", ONE)["y"] == 1
    assert inferences(canned) == 3


@pytest.mark.parametrize("code", ["RESOURCE_EXHAUSTED", "INTERNAL", "CANCELLED", "DEADLINE_EXCEEDED", "ABORTED"])
def test_nothing_else_is_tried_again(client: Client, canned: CannedServer, code: str) -> None:
    canned.failure = Refused(grpc.StatusCode[code], "no")
    with pytest.raises(OrtolanClientError):
        client.infer("echo", ONE)
    assert inferences(canned) == 1


def test_calls_go_round() -> None:
    with CannedServer() as one, CannedServer() as other:
        for address in ([one.address, other.address], f"{one.address},{other.address}"):
            with Client(address, timeout_s=20) as client:
                before = inferences(one), inferences(other)
                while inferences(one) == before[0] or inferences(other) == before[1]:
                    client.infer("echo", ONE)
                assert client.address == f"{one.address},{other.address}"


def test_a_server_that_goes_takes_no_call_with_it() -> None:
    with ExitStack() as stack:
        stays = stack.enter_context(CannedServer())
        with CannedServer() as goes, Client([stays.address, goes.address], timeout_s=20) as client:
            while not inferences(goes):
                client.infer("echo", LARGE)
            goes.__exit__()
            for _ in range(20):
                assert client.infer("echo", LARGE)["y"].sum() == LARGE["y"].size


def test_a_server_that_is_not_ready_gets_no_calls() -> None:
    with CannedServer(serving=False) as sick, CannedServer() as well:
        with Client([sick.address, well.address], timeout_s=20) as client:
            for _ in range(20):
                client.infer("echo", ONE)
        assert (inferences(sick), inferences(well)) == (0, 20)
        with Client(sick.address, timeout_s=20) as client:
            client.infer("echo", ONE)  # the only one: it says itself what it cannot do


def test_all_the_addresses_of_a_name(canned: CannedServer) -> None:
    port = canned.address.rpartition(":")[2]
    with Client(f"dns:///localhost:{port}", timeout_s=20) as client:
        assert client.server_live()
    with Client(f"localhost:{port},127.0.0.1:{port}", timeout_s=20) as client:
        assert client.server_live()


def test_several_servers_with_tls(chains: Chains) -> None:
    pair = chains.right
    credentials = grpc.ssl_server_credentials([(pair.key.read_bytes(), pair.cert.read_bytes())])
    with CannedServer(credentials=credentials) as one, CannedServer(credentials=credentials) as other:
        same = [one.address, other.address]
        with Client(same, tls=chains.tls(), timeout_s=20) as client:
            assert client.server_live()
        elsewhere = Tls(ca=chains.ca, server_name="nowhere.example")
        with Client(same, tls=elsewhere) as client, pytest.raises(Unavailable, match="not for nowhere.example"):
            client.server_live()
        names = [one.address, other.address.replace("127.0.0.1", "localhost")]
        with Client(names, tls=Tls(ca=chains.ca, server_name="localhost"), timeout_s=20) as client:
            assert client.server_live()
        with pytest.raises(ValueError, match=r"Tls\(server_name=…\)"):
            Client(names, tls=chains.tls())


def test_lists_are_numbers_for_grpc() -> None:
    target = find_target("127.0.0.1:1, 127.0.0.2:2,127.0.0.1:1")
    assert (target.uri, target.balanced) == ("ipv4:127.0.0.1:1,127.0.0.2:2", True)
    assert target.authority == "127.0.0.1:1"  # with a comma HAProxy would refuse it
    assert find_target(["[::1]:1", "[::2]:2"]).uri == "ipv6:[::1]:1,[::2]:2"
    assert find_target(["localhost:1", "127.0.0.1:1"]).uri == "ipv4:127.0.0.1:1"


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("", "an address is HOST:PORT"),
        ([], "an address is HOST:PORT .*; there is none"),
        ("::1:8001", "an IPv6 address stands in brackets"),
        ("a:1,b", "not 'b'"),
        ("a:1,", "not ''"),
        ("unix:/a,unix:/b", "not 'unix:/a'"),
        (["unix:/a.sock", "127.0.0.1:1"], "not 'unix:/a.sock'"),
        ("dns:///host", "not 'host'"),
        (["127.0.0.1:1", "[::1]:1"], "all have IPv4 numbers or all have IPv6"),
        (["127.0.0.1:1", "no-such-host.invalid:1"], "no-such-host.invalid:1 cannot be looked up"),
    ],
)
def test_what_is_no_list_of_addresses_is_refused(address: str | list[str], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Client(address)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Client(retries=5), "retries are 0 to 4, not 5"),
        (lambda: Client(compression="zip"), "compression is '', 'deflate' or 'gzip', not 'zip'"),
    ],
)
def test_settings_that_cannot_be_are_refused(make: Callable[[], Client], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()
