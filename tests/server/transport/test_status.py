"""The one table to status codes, and texts that survive the way to the client."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from structlog.testing import capture_logs

from ortolan_server.errors import InternalError, InvalidRequest, ModelNotFound, OrtolanError, Overloaded
from ortolan_server.transport.status import STATUS, abort, domain_error, status_of

LIMIT_S = 30.0


def subclasses(kind: type[OrtolanError]) -> Iterator[type[OrtolanError]]:
    for subclass in kind.__subclasses__():
        yield subclass
        yield from subclasses(subclass)


def test_every_error_has_its_row() -> None:
    ours = {kind for kind in subclasses(OrtolanError) if kind.__module__.startswith("ortolan_server.")}
    assert ours
    assert set(STATUS) == ours


def test_every_row_is_an_error_and_none_is_unknown() -> None:
    assert grpc.StatusCode.OK not in STATUS.values()
    assert grpc.StatusCode.UNKNOWN not in STATUS.values()


def test_a_domain_error_keeps_its_text() -> None:
    error = ModelNotFound("no model 'x'")
    assert domain_error(error) is error
    assert status_of(error) == (grpc.StatusCode.NOT_FOUND, "no model 'x'")


def test_what_is_unknown_tells_the_log_and_not_the_caller() -> None:
    with capture_logs() as events:
        error = domain_error(KeyError("a secret"))
    assert isinstance(error, InternalError)
    assert status_of(error) == (grpc.StatusCode.INTERNAL, "internal error")
    assert [event["event"] for event in events] == ["call_crashed"]
    assert isinstance(events[0]["exc_info"], KeyError)


class _Raising:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def service(self, _details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes]":
        def handle(_request: bytes, context: grpc.ServicerContext) -> bytes:
            abort(context, self.error)

        return grpc.unary_unary_rpc_method_handler(handle)


def over_the_wire(error: Exception) -> tuple[grpc.StatusCode, str]:
    """What a client gets of an error."""
    server = grpc.server(ThreadPoolExecutor(1), handlers=[_Raising(error)])  # type: ignore[list-item]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/any/Method")
            with pytest.raises(grpc.RpcError) as raised:
                call(b"", timeout=LIMIT_S)
        return raised.value.code(), raised.value.details() or ""
    finally:
        server.stop(0).wait()


@pytest.mark.parametrize("letter", ["x", "é", "文", "🦜", "\n"])
def test_a_long_text_is_cut_and_arrives(letter: str) -> None:
    code, details = over_the_wire(InvalidRequest("begins " + letter * 20_000))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert details.startswith("begins " + letter * 100)
    assert details.endswith("…")


def test_a_text_of_several_lines_arrives_whole() -> None:
    text = "model.toml: chain[1]: 'é' is wrong\nmodel.toml: chain[2]: so is \"100%\""
    assert over_the_wire(Overloaded(text)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, text)


def test_a_text_that_is_no_unicode_arrives_all_the_same() -> None:
    code, details = over_the_wire(ModelNotFound("no model '\udcff'"))
    assert code == grpc.StatusCode.NOT_FOUND
    assert details == "no model '\\udcff'"
