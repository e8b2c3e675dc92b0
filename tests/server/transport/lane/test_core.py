"""The lane's hold on grpcio: what each event of the completion queue means, on the grpcio that is installed."""

import math
import threading
import time

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckResponse
from structlog.testing import capture_logs

from ortolan_server.transport.lane.core import CoreCall
from ortolan_server.transport.lane.selftest import try_lane
from tests.server.transport.lane.serving import LIMIT_S, WITHIN_S, Echo, lane_server, method

PATH = "/test.Lane/Echo"
CONNECT = "/test.Lane/Connect"


class Holding(Echo):
    """Answers when it is told to, and hears of clients that leave."""

    def answer(self, call: CoreCall, data: bytes | None) -> None:
        call.watch()


class Raising(Echo):
    def answer(self, call: CoreCall, data: bytes | None) -> None:
        raise RuntimeError("a fault of the handler")


def status_of(call: "grpc.UnaryUnaryMultiCallable[bytes, bytes]", data: bytes, **keywords: float) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as raised:
        call(data, **keywords)  # type: ignore[arg-type]
    return raised.value


def code_of(failure: Exception) -> grpc.StatusCode:
    assert isinstance(failure, grpc.RpcError)
    return failure.code()


def test_the_trial_passes_here() -> None:
    try_lane()


def test_call_brings_its_metadata_and_deadline() -> None:
    echo = Echo()
    with lane_server({PATH: echo}) as (_, channel):
        assert method(channel, PATH)(b"one", metadata=(("x-who", "me"), ("x-bytes-bin", b"\0\xff"))) == b"one"
        before_s = time.monotonic()
        assert method(channel, PATH)(b"two", timeout=LIMIT_S) == b"two"
        after_s = time.monotonic()
    first, second = echo.calls
    assert {("x-who", "me"), ("x-bytes-bin", b"\0\xff")} <= set(first.metadata)
    assert first.deadline_s == math.inf
    rounding_s = 1.0  # by the client
    assert before_s - rounding_s < second.deadline_s - LIMIT_S < after_s + rounding_s


def test_empty_message_is_a_message_and_none_is_none() -> None:
    echo = Echo()
    with lane_server({PATH: echo}) as (_, channel):
        assert method(channel, PATH)(b"") == b""
        nothing: grpc.StreamUnaryMultiCallable[bytes, bytes] = channel.stream_unary(PATH)
        assert nothing(iter(())) == b""
    assert echo.messages == [b"", None]


def test_message_over_the_limit_is_answered_by_the_core() -> None:
    echo = Echo()
    with lane_server({PATH: echo}, max_receive_message_length=1000) as (_, channel):
        assert status_of(method(channel, PATH), b"x" * 1001).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert method(channel, PATH)(b"x" * 1000) == b"x" * 1000
        assert echo.ended_calls.acquire(timeout=LIMIT_S)
        assert echo.ended_calls.acquire(timeout=LIMIT_S)


def test_status_details_and_trailers_arrive() -> None:
    class Refusing(Echo):
        def answer(self, call: CoreCall, data: bytes | None) -> None:
            call.finish(grpc.StatusCode.NOT_FOUND.value[0], "kein Modell „ä“", (("x-why", "gone"),))

    with lane_server({PATH: Refusing()}) as (_, channel):
        error = status_of(method(channel, PATH), b"")
    assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, "kein Modell „ä“")
    assert "key='x-why', value='gone'" in str(error.trailing_metadata())


def test_second_answer_is_dropped() -> None:
    class Twice(Echo):
        def answer(self, call: CoreCall, data: bytes | None) -> None:
            call.answer(b"first")
            call.answer(b"second")
            call.finish(grpc.StatusCode.INTERNAL.value[0])
            call.watch()

    twice = Twice()
    with lane_server({PATH: twice}) as (server, channel):
        assert method(channel, PATH)(b"") == b"first"
        assert twice.ended_calls.acquire(timeout=LIMIT_S)
        server.wait_until_idle()


def test_client_that_leaves_is_noticed() -> None:
    holding = Holding()
    with lane_server({PATH: holding}) as (server, channel):
        call = method(channel, PATH).future(b"")
        assert holding.came.wait(LIMIT_S)
        call.cancel()
        assert holding.left.wait(LIMIT_S)
        assert holding.ended_calls.acquire(timeout=LIMIT_S)
        server.wait_until_idle()


def test_deadline_that_passes_is_noticed() -> None:
    holding = Holding()
    with lane_server({PATH: holding, CONNECT: Echo()}) as (_, channel):
        method(channel, CONNECT)(b"", timeout=LIMIT_S)
        assert status_of(method(channel, PATH), b"", timeout=WITHIN_S).code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert holding.left.wait(LIMIT_S)
        assert holding.ended_calls.acquire(timeout=LIMIT_S)


def test_answer_from_another_thread() -> None:
    holding = Holding()
    with lane_server({PATH: holding}) as (_, channel):
        call = method(channel, PATH).future(b"", timeout=LIMIT_S)
        assert holding.came.wait(LIMIT_S)
        thread = threading.Thread(target=holding.calls[0].answer, args=(b"from aside",))
        thread.start()
        assert call.result() == b"from aside"
        thread.join(LIMIT_S)


def test_handler_that_raises_ends_its_call_and_no_other() -> None:
    echo = Echo()
    raising = Raising()
    with capture_logs() as logs, lane_server({PATH: echo, "/test.Lane/Raise": raising}) as (server, channel):
        error = status_of(method(channel, "/test.Lane/Raise"), b"", timeout=LIMIT_S)
        assert (error.code(), error.details()) == (grpc.StatusCode.INTERNAL, "internal error")
        assert method(channel, PATH)(b"still here", timeout=LIMIT_S) == b"still here"
        assert raising.ended_calls.acquire(timeout=LIMIT_S)
        assert not server.died.is_set()
    assert "lane_call_crashed" in [line["event"] for line in logs]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_loop_that_dies_says_so() -> None:
    def fault() -> None:
        raise RuntimeError("a fault of the pump")

    with capture_logs() as logs, lane_server({PATH: Echo()}) as (server, channel):
        server.pump.put(fault)
        method(channel, PATH).future(b"", timeout=LIMIT_S)  # wakes the loop, which then turns to the pump
        assert server.died.wait(LIMIT_S)
        for thread in [thread for thread in threading.enumerate() if thread.name == "lane"]:
            thread.join(LIMIT_S)  # what pytest says of it would else be said of the next test
    assert "lane_died" in [line["event"] for line in logs]


def test_methods_registered_by_generated_code_are_served_beside() -> None:
    with lane_server({PATH: Echo()}) as (_, channel):
        check = method(channel, "/grpc.health.v1.Health/Check")
        assert check(b"", timeout=LIMIT_S) == HealthCheckResponse(status="SERVING").SerializeToString()
        assert method(channel, PATH)(b"x", timeout=LIMIT_S) == b"x"
        error = status_of(method(channel, "/test.Lane/Nothing"), b"", timeout=LIMIT_S)
        assert error.code() is grpc.StatusCode.UNIMPLEMENTED


def test_compressed_messages_are_read() -> None:
    with lane_server({PATH: Echo()}) as (_, channel):
        data = b"compress me " * 1000
        assert method(channel, PATH)(data, compression=grpc.Compression.Gzip, timeout=LIMIT_S) == data


def test_more_streams_than_a_connection_may_have() -> None:
    """The core refuses some by itself, with and without a lane: the others are answered."""
    with lane_server({PATH: Echo()}, max_concurrent_streams=2) as (server, channel):
        calls = {number: method(channel, PATH).future(bytes([number]), timeout=LIMIT_S) for number in range(50)}
        failures = {number: call.exception() for number, call in calls.items()}
        answered = [number for number, failure in failures.items() if failure is None]
        assert answered
        assert [calls[number].result() for number in answered] == [bytes([number]) for number in answered]
        assert {code_of(failure) for failure in failures.values() if failure} <= {grpc.StatusCode.UNAVAILABLE}
        assert server.server.stop(LIMIT_S).wait(LIMIT_S)
        assert server.lane.open_calls == 0


def test_connections_that_are_told_to_go_lose_no_call() -> None:
    """GOAWAY every 50 ms."""
    with lane_server({PATH: Echo()}, max_connection_age_ms=50, max_connection_age_grace_ms=5000) as (_, channel):
        until_s = time.monotonic() + 0.5
        while time.monotonic() < until_s:
            assert method(channel, PATH)(b"x", timeout=LIMIT_S) == b"x"


def test_stop_waits_for_calls_and_takes_no_new_ones() -> None:
    holding = Holding()
    with lane_server({PATH: holding}) as (server, channel):
        calls = [method(channel, PATH).future(b"", timeout=LIMIT_S) for _ in range(20)]
        while len(holding.messages) < len(calls):
            assert holding.came.wait(LIMIT_S)
        stopped = server.server.stop(LIMIT_S)
        # The core cancels what comes before the client has heard that it must not come.
        refused = status_of(method(channel, PATH), b"", timeout=LIMIT_S).code()
        assert refused in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
        assert len(holding.calls) == len(calls)
        assert not stopped.is_set()
        for call in holding.calls:
            call.answer(b"late")
        assert [call.result() for call in calls] == [b"late"] * len(calls)
        assert stopped.wait(LIMIT_S)


def test_after_a_stop_the_last_calls_are_known_to_have_come() -> None:
    """Whoever cancels the rest must not do so before: a call that was taken by the core would be lost."""
    holding = Holding()
    with lane_server({PATH: holding}) as (server, channel):
        at_first = server.lane.calls_may_come
        call = method(channel, PATH).future(b"", timeout=LIMIT_S)
        assert holding.came.wait(LIMIT_S)
        stopped = server.server.stop(LIMIT_S)
        until_s = time.monotonic() + LIMIT_S
        while server.lane.calls_may_come and time.monotonic() < until_s:
            threading.Event().wait(0.005)
        assert (at_first, server.lane.calls_may_come, server.lane.open_calls) == (True, False, 1)
        holding.calls[0].answer(b"late")
        assert call.result() == b"late"
        assert stopped.wait(LIMIT_S)


def test_stop_at_once_cancels_what_is_open() -> None:
    holding = Holding()
    with lane_server({PATH: holding}) as (server, channel):
        call = method(channel, PATH).future(b"", timeout=LIMIT_S)
        assert holding.came.wait(LIMIT_S)
        assert server.server.stop(0).wait(LIMIT_S)
        assert call.exception() is not None
        assert holding.left.wait(LIMIT_S)
