"""The HTTP address: what it answers, and that no client can keep others from it."""

import gzip
import http.client
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain

from ortolan_server.errors import CannotListen
from ortolan_server.transport import http as ours
from ortolan_server.transport.http import HttpServer

LIMIT_S = 30.0
HURRY_S = 0.3
GET = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


class Serving:
    def __init__(self) -> None:
        self.now = True

    def __call__(self) -> bool:
        return self.now


@pytest.fixture
def serving() -> Serving:
    return Serving()


@contextmanager
def http_server(serving: Serving, patience_s: float) -> Iterator[str]:
    """Its address."""
    metrics = CollectorRegistry()
    Counter("tries", "Of this test.", registry=metrics).inc(3)
    # Larger than what the kernel takes for a client that does not read.
    Counter("large", "x" * 16_000_000, registry=metrics)
    server = HttpServer("127.0.0.1:0", metrics, serving, patience_s=patience_s)
    yield server.start()
    server.stop()


@pytest.fixture
def address(serving: Serving) -> Iterator[str]:
    """Of a server that waits for slow clients, as all are on a busy machine, longer than these tests do."""
    with http_server(serving, 2 * LIMIT_S) as address:
        yield address


@pytest.fixture
def hurried(serving: Serving) -> Iterator[str]:
    """Of one that soon loses its patience."""
    with http_server(serving, HURRY_S) as address:
        yield address


def ask(
    address: str, path: str, method: str = "GET", headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(address, timeout=LIMIT_S)
    connection.request(method, path, headers=headers or {})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, dict(response.headers), body


def connect(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=LIMIT_S)


def read_all(client: socket.socket) -> bytes:
    """Until the server closes; what is there when it resets is lost."""
    data = b""
    try:
        while more := client.recv(1 << 20):
            data += more
    except ConnectionResetError:
        pass
    return data


def test_probes(address: str, serving: Serving) -> None:
    assert ask(address, "/livez")[::2] == (200, b"live\n")
    assert ask(address, "/readyz")[::2] == (200, b"SERVING\n")
    serving.now = False
    assert ask(address, "/readyz?verbose")[::2] == (503, b"NOT_SERVING\n")
    assert ask(address, "/livez")[0] == 200


def test_metrics_in_the_format_that_is_asked_for(address: str) -> None:
    path = "/metrics?name[]=tries_total"
    status, headers, body = ask(address, path)
    assert (status, headers["Content-Type"].partition(";")[0]) == (200, "text/plain")
    (family,) = plain(body.decode())
    assert family.samples[0].value == 3.0
    status, headers, body = ask(address, path, headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert (status, headers["Content-Type"].partition(";")[0]) == (200, "application/openmetrics-text")
    (family,) = open_metrics(body.decode())  # type: ignore[no-untyped-call]
    assert family.samples[0].value == 3.0
    status, headers, body = ask(address, path, headers={"Accept-Encoding": "gzip"})
    assert (status, headers["Content-Encoding"]) == (200, "gzip")
    assert b"tries_total 3.0" in gzip.decompress(body)


def test_a_head_has_no_body(address: str) -> None:
    status, headers, body = ask(address, "/livez", method="HEAD")
    assert (status, headers["Content-Length"], body) == (200, "5", b"")


def test_other_paths_hear_what_there_is(address: str) -> None:
    assert ask(address, "/")[::2] == (404, b"there are /metrics, /livez and /readyz\n")
    assert ask(address, "/metrics/x")[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(address: str, method: str) -> None:
    status, headers, body = ask(address, "/metrics", method=method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")
    assert body.startswith(method.encode())


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", 431),
        (b"x" * 100_000, 431),
        (b"GET /\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 400),
        (b"GET http://[ HTTP/1.1\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nno colon\r\n\r\n", 200),
    ],
    ids=["one long header", "no end", "no protocol", "TLS", "HTTP/2", "no URL", "many headers", "no colon"],
)
def test_what_is_no_request(address: str, request_bytes: bytes, status: int) -> None:
    with connect(address) as client:
        client.sendall(request_bytes)
        client.shutdown(socket.SHUT_WR)
        assert read_all(client).startswith(f"HTTP/1.1 {status} ".encode())
    assert ask(address, "/livez")[0] == 200


def test_an_answer_is_whole_for_one_who_ends_early(address: str) -> None:
    with connect(address) as client:
        client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        head, _, body = read_all(client).partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head


def test_one_who_sends_slowly_is_closed_in_time(hurried: str) -> None:
    started_s = time.monotonic()
    with connect(hurried) as client:
        client.settimeout(0.02)
        for letter in GET * 1000:
            try:
                client.send(bytes([letter]))
                assert client.recv(1) == b"", "it was answered"
                break
            except TimeoutError:
                assert time.monotonic() - started_s < LIMIT_S
            except OSError:
                break
    assert time.monotonic() - started_s >= HURRY_S


def test_one_who_does_not_read_is_closed_in_time(hurried: str) -> None:
    with connect(hurried) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        # The end of what the server could put away is there once it has closed.
        deadline_s = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline_s:
            try:
                client.send(b"x")
            except OSError:
                return
            time.sleep(0.01)
    raise AssertionError("it was kept")


def test_one_who_does_not_read_keeps_nobody_out(address: str) -> None:
    with connect(address) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert client.recv(1) == b"H"
        assert [ask(address, "/livez")[0] for _ in range(10)] == [200] * 10


def test_many_who_say_nothing_keep_nobody_out(address: str) -> None:
    crowd = [connect(address) for _ in range(2 * ours._CONNECTIONS)]
    try:
        assert ask(address, "/readyz")[0] == 200
        # Those that came first had to go.
        assert read_all(crowd[0]) == b""
    finally:
        for client in crowd:
            client.close()


def test_what_fails_is_answered_to_others(serving: Serving) -> None:
    class Failing(CollectorRegistry):
        def collect(self) -> Iterator[None]:  # type: ignore[override]
            raise RuntimeError("broken")

    server = HttpServer("127.0.0.1:0", Failing(), serving)
    address = server.start()
    try:
        assert ask(address, "/metrics")[::2] == (500, b"internal error\n")
        assert ask(address, "/livez")[0] == 200
    finally:
        server.stop()


def test_an_address_in_use(address: str, serving: Serving) -> None:
    with pytest.raises(CannotListen, match=rf"cannot listen on {address}: it is in use .* \(--http-address names"):
        HttpServer(address, CollectorRegistry(), serving).start()


def test_an_address_of_another_host(serving: Serving) -> None:
    with pytest.raises(CannotListen, match=r"cannot listen on 192\.0\.2\.1:0: .*not an address of this host"):
        HttpServer("192.0.2.1:0", CollectorRegistry(), serving).start()


def test_every_interface_is_both_families(serving: Serving) -> None:
    server = HttpServer("[::]:0", CollectorRegistry(), serving)
    port = server.start().rpartition(":")[2]
    try:
        hosts = ["127.0.0.1", "[::1]"] if socket.has_dualstack_ipv6() else ["[::1]"]
        assert [ask(f"{host}:{port}", "/livez")[0] for host in hosts] == [200] * len(hosts)
    finally:
        server.stop()


def test_it_stops_while_clients_are_there(serving: Serving) -> None:
    server = HttpServer("127.0.0.1:0", CollectorRegistry(), serving)
    address = server.start()
    with connect(address) as client:
        client.sendall(b"GET")
        assert ask(address, "/livez")[0] == 200
        server.stop()
        assert read_all(client) == b""
    with pytest.raises(OSError, match="refused"):
        connect(address)
