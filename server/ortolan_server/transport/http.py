"""Plain HTTP, beside gRPC: /metrics for Prometheus, /livez and /readyz for whoever supervises the process."""

import asyncio
import http.client
import io
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from email.message import Message
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import urlsplit

import structlog
from prometheus_client import CollectorRegistry, make_wsgi_app

from ortolan_server.addresses import parse_address
from ortolan_server.errors import CannotListen

__all__ = ["HttpServer"]

log = structlog.get_logger()

_HEAD_BYTES = 16 * 1024
_PATIENCE_S = 5.0
_CONNECTIONS = 64
_BODY_BYTES = 64 * 1024
_STOP_S = 5.0
_EVERY = "::"
_TEXT = "text/plain; charset=utf-8"
_METHODS = "GET, HEAD"


class _Request(NamedTuple):
    method: str
    path: str
    query: str
    headers: Message


class _Response(NamedTuple):
    status: HTTPStatus
    body: bytes
    headers: Iterable[tuple[str, str]] = (("Content-Type", _TEXT),)


class HttpServer:
    """One thread with an event loop: no client has a thread that it could hold.

    A connection is for one request. It has a few seconds to bring it and a few to take the answer; when too many
    are open the oldest is closed, so slow ones cannot keep others out. What is served is short or made of counts, and
    the same for everybody; nothing is ever done because of a request.
    """

    def __init__(
        self,
        address: str,
        metrics: CollectorRegistry,
        serving: Callable[[], bool],
        *,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        """`serving`: whether /readyz says yes. `patience_s`: for a request to come, and again for its answer to go."""
        self._address = address
        self._metrics = make_wsgi_app(metrics)
        self._serving = serving
        self._patience_s = patience_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._thread: threading.Thread | None = None

    def start(self) -> str:
        """Listens. Returns the address with the port that was really taken. Raises CannotListen."""
        loop = asyncio.new_event_loop()
        try:
            server = loop.run_until_complete(self._listen())
        except OSError as error:
            loop.close()
            raise CannotListen(
                f"cannot listen on {self._address}: it is in use or not an address of this host "
                "(--http-address names another; off: no HTTP)"
            ) from error
        self._loop = loop
        self._thread = threading.Thread(target=self._run, args=(loop, server), name="http", daemon=True)
        self._thread.start()
        return f"{self._address.rpartition(':')[0]}:{server.sockets[0].getsockname()[1]}"

    def stop(self) -> None:
        """Closes everything. After `start()`."""
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_STOP_S)

    async def _listen(self) -> asyncio.Server:
        address = parse_address(self._address)
        if address.host == _EVERY and socket.has_dualstack_ipv6():  # asyncio would leave IPv4 out
            both = socket.create_server((_EVERY, address.port), family=socket.AF_INET6, dualstack_ipv6=True)
            return await asyncio.start_server(self._connected, sock=both, limit=_HEAD_BYTES)
        return await asyncio.start_server(self._connected, address.host, address.port, limit=_HEAD_BYTES)

    def _run(self, loop: asyncio.AbstractEventLoop, server: asyncio.Server) -> None:
        try:
            loop.run_forever()
            loop.run_until_complete(self._close(server))
        finally:
            loop.close()

    async def _close(self, server: asyncio.Server) -> None:
        server.close()
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # Connections.

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            return
        while len(self._open) >= _CONNECTIONS:
            oldest = next(iter(self._open))
            self._open.pop(oldest).transport.abort()
            oldest.cancel()
        self._open[task] = writer
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._open.pop(task, None)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request: _Request | None = None
        try:
            async with asyncio.timeout(self._patience_s):
                request = _parse(await reader.readuntil(b"\r\n\r\n"))
            response = self._answer(request)
        except asyncio.IncompleteReadError:
            return
        except asyncio.LimitOverrunError:
            response = _refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"at most {_HEAD_BYTES} bytes are read")
        except (ValueError, http.client.HTTPException):
            response = _refusal(HTTPStatus.BAD_REQUEST, "this is no HTTP request")
        except OSError:
            raise  # it left, or took too long
        except Exception:
            log.exception("http_request_crashed")
            response = _refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error")
        async with asyncio.timeout(self._patience_s):
            writer.write(_written(response, head_only=request is not None and request.method == "HEAD"))
            await writer.drain()
            writer.write_eof()
            # A connection that is closed with something unread takes the answer with it.
            await _skip(reader)
            writer.close()
            await writer.wait_closed()

    # Answers.

    def _answer(self, request: _Request) -> _Response:
        if request.path not in ("/metrics", "/livez", "/readyz"):
            return _refusal(HTTPStatus.NOT_FOUND, "there are /metrics, /livez and /readyz")
        if request.method not in ("GET", "HEAD"):
            text = f"{request.method} is not answered here, only {_METHODS}"
            return _refusal(HTTPStatus.METHOD_NOT_ALLOWED, text, ("Allow", _METHODS))
        if request.path == "/metrics":
            return self._measured(request)
        if request.path == "/livez":
            return _Response(HTTPStatus.OK, b"live\n")
        if self._serving():
            return _Response(HTTPStatus.OK, b"SERVING\n")
        return _Response(HTTPStatus.SERVICE_UNAVAILABLE, b"NOT_SERVING\n")

    def _measured(self, request: _Request) -> _Response:
        """In the format that the client asks for."""
        begun: list[tuple[str, str]] = []

        def begin(_status: str, headers: list[tuple[str, str]]) -> None:
            begun.extend(headers)

        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": request.path,
            "QUERY_STRING": request.query,
            "HTTP_ACCEPT": request.headers.get("Accept", ""),
            "HTTP_ACCEPT_ENCODING": request.headers.get("Accept-Encoding", ""),
        }
        body = b"".join(self._metrics(environ, begin))
        return _Response(HTTPStatus.OK, body, begun)


def _parse(head: bytes) -> _Request:
    """Raises ValueError and HTTPException."""
    line, _, rest = head.partition(b"\r\n")
    method, target, protocol = line.decode("ascii").split(" ")
    if not protocol.startswith("HTTP/1.") or not method.isalpha():
        raise ValueError(protocol)
    parts = urlsplit(target)
    headers = http.client.parse_headers(io.BytesIO(rest))
    return _Request(method, parts.path, parts.query, headers)


def _refusal(status: HTTPStatus, text: str, *headers: tuple[str, str]) -> _Response:
    return _Response(status, f"{text}\n".encode(), (("Content-Type", _TEXT), *headers))


def _written(response: _Response, *, head_only: bool) -> bytes:
    status = response.status
    headers = (*response.headers, ("Content-Length", str(len(response.body))), ("Connection", "close"))
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode() + (b"" if head_only else response.body)


async def _skip(reader: asyncio.StreamReader) -> None:
    """Reads what is left of a request, within bounds."""
    left = _BODY_BYTES
    with suppress(OSError):
        while left > 0 and (data := await reader.read(left)):
            left -= len(data)
