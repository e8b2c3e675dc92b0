"""Streams, the same in both lanes: windows, order, ends from either side, limits."""

import math
import queue
import random
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import grpc
import pytest

from ortolan.inference import inference_pb2 as pb
from ortolan_server.transport.slots import STREAM_WINDOW
from tests.server.transport.held import LANES, MAX_BYTES, Asked, HeldService, StreamServer, response, stream_server
from tests.server.transport.lane.serving import LIMIT_S, WITHIN_S

MANY = 1000
# How long a client is watched that must not get on.
STALLED_S = 0.3

pytestmark = pytest.mark.parametrize("lane", LANES)


def message(number: int, size: int = 0) -> bytes:
    request = pb.ModelInferRequest(model_name="m", id=str(number))
    request.raw_input_contents.append(bytes(size))
    return request.SerializeToString()


def answered(data: bytes) -> str:
    return pb.ModelStreamInferResponse.FromString(data).infer_response.id


def error_in(data: bytes) -> str:
    return pb.ModelStreamInferResponse.FromString(data).error_message


def ids(count: int) -> list[str]:
    return [str(number) for number in range(count)]


def at_once(asked: Asked) -> None:
    asked.answer(response(asked.request))


class Sender:
    """A client's messages, one after another as the stream takes them; open until it is told."""

    def __init__(self, *messages: bytes) -> None:
        self.sent = threading.Event()
        self._messages: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        for each in messages:
            self._messages.put(each)

    def __iter__(self) -> Iterator[bytes]:
        while (each := self._messages.get()) is not None:
            yield each
        self.sent.set()

    def put(self, data: bytes) -> None:
        self._messages.put(data)

    def close(self) -> None:
        self._messages.put(None)


def test_window_holds_a_client_that_only_sends(lane: str) -> None:
    """The service answers nothing: it is asked no more than the window, and the client cannot go on."""
    service = HeldService()
    sender = Sender(*(message(number, 10_000) for number in range(MANY)))
    sender.close()
    with stream_server(lane, service) as server:
        call = server.open(iter(sender))
        service.wait_for(STREAM_WINDOW)
        assert not sender.sent.wait(STALLED_S)
        assert len(service.asked) == STREAM_WINDOW
        service.on_asked = at_once
        for asked in service.asked[::-1]:
            at_once(asked)
        assert [answered(data) for data in call] == ids(MANY)
        assert service.most == STREAM_WINDOW
        assert sender.sent.is_set()


def test_window_holds_a_client_that_does_not_read(lane: str) -> None:
    """The service answers at once, with much: what is not read holds back what is taken, and all comes in the end."""
    size, count = 256 * 1024, 400
    service = HeldService(lambda asked: asked.answer(response(asked.request, size)))
    with stream_server(lane, service) as server:
        call = server.open(message(number) for number in range(count))
        service.wait_for(STREAM_WINDOW)
        assert not service.comes(3 * STREAM_WINDOW, STALLED_S)
        assert [answered(data) for data in call] == ids(count)


def test_answers_keep_their_order_whatever_comes_first(lane: str) -> None:
    """Each in turn is answered after those behind it, by a thread of its own."""
    service = HeldService()
    shuffled = random.Random(7)  # noqa: S311 - an order, no secret
    sender = Sender(*(message(number) for number in range(60)))
    with stream_server(lane, service) as server:
        call = server.open(iter(sender))
        waiting = service.wait_for(60)
        shuffled.shuffle(waiting)
        threads = [threading.Thread(target=at_once, args=(asked,)) for asked in waiting]
        for thread in threads:
            thread.start()
        sender.close()
        assert [answered(data) for data in call] == ids(60)


def test_half_closed_stream_gets_what_is_due(lane: str) -> None:
    service = HeldService()
    sender = Sender(*(message(number) for number in range(5)))
    sender.close()
    with stream_server(lane, service) as server:
        call = server.open(iter(sender))
        waiting = service.wait_for(5)
        assert sender.sent.wait(LIMIT_S)
        for asked in waiting:
            at_once(asked)
        assert [answered(data) for data in call] == ids(5)
        assert call.code() is grpc.StatusCode.OK


def test_client_that_leaves_takes_its_work_with_it(lane: str) -> None:
    service = HeldService()
    sender = Sender(*(message(number) for number in range(3)))
    with stream_server(lane, service) as server:
        call = server.open(iter(sender))
        at_once(service.wait_for(3)[0])
        assert answered(next(call)) == "0"
        call.cancel()
        assert all(asked.cancelled.wait(LIMIT_S) for asked in service.asked[1:])
        sender.close()
        assert server_answers(server, service)


def code_at_the_end(call: Any) -> grpc.StatusCode:
    with suppress(grpc.RpcError):
        list(call)
    code: grpc.StatusCode = call.code()
    return code


def connect(server: StreamServer) -> None:
    """The stream that follows finds an open connection."""
    assert code_at_the_end(server.open(iter([]))) is grpc.StatusCode.OK


def server_answers(server: StreamServer, service: HeldService) -> bool:
    service.on_asked = at_once
    return [answered(data) for data in server.open(iter([message(7)]))] == ["7"]


def test_deadline_ends_a_stream(lane: str) -> None:
    service = HeldService()
    sender = Sender(message(0))
    with stream_server(lane, service) as server:
        connect(server)
        before_s = time.monotonic()
        call = server.open(iter(sender), timeout=WITHIN_S)
        (asked,) = service.wait_for(1)
        rounding_s = 0.1  # by the client
        assert before_s - rounding_s < asked.deadline_s - WITHIN_S < time.monotonic() + rounding_s
        with pytest.raises(grpc.RpcError) as raised:
            next(call)
        assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert asked.cancelled.wait(LIMIT_S)
        sender.close()
        assert server_answers(server, service)


def test_stream_without_a_deadline_has_none(lane: str) -> None:
    service = HeldService(at_once)
    with stream_server(lane, service) as server:
        list(server.open(iter([message(0)]), timeout=None))
        assert service.asked[0].deadline_s == math.inf


def test_drain_answers_what_is_due_and_says_why_it_ends(lane: str) -> None:
    service = HeldService()
    sender = Sender(message(0), message(1))
    with stream_server(lane, service) as server:
        call = server.open(iter(sender))
        waiting = service.wait_for(2)
        stopped = server.server.stop(LIMIT_S)
        server.handler.drain()
        for asked in waiting:
            at_once(asked)
        assert [answered(next(call)) for _ in waiting] == ids(2)
        with pytest.raises(grpc.RpcError, match="open the stream again elsewhere") as raised:
            next(call)
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        sender.close()
        assert stopped.wait(LIMIT_S)


def test_stream_outlives_its_connections_goaway(lane: str) -> None:
    """The server tells every connection after 50 ms to go: what is open on it goes on."""
    service = HeldService(at_once)
    sender = Sender(message(0))
    with stream_server(lane, service, max_connection_age_ms=50, max_connection_age_grace_ms=20_000) as server:
        call = server.open(iter(sender))
        assert answered(next(call)) == "0"
        other_connection = [[answered(data) for data in server.open(iter([message(9)]))] for _ in wait_for_goaway()]
        assert {"9"} == {found for (found,) in other_connection}
        sender.put(message(1))
        assert answered(next(call)) == "1"
        sender.close()
        assert list(call) == []


def wait_for_goaway() -> Iterator[None]:
    """For ten times the age at which connections are told to go; streams are opened meanwhile."""
    until_s = time.monotonic() + 0.5
    while time.monotonic() < until_s:
        yield


def test_more_streams_than_a_connection_may_have(lane: str) -> None:
    """Clients wait with what is over the limit; what slips through the core refuses by itself, in either lane."""
    service = HeldService(at_once)
    senders = [Sender(message(number)) for number in range(4)]
    with stream_server(lane, service, max_concurrent_streams=2) as server:
        first = server.open(iter(senders[0]))
        assert answered(next(first)) == "0"  # by now the client knows the limit
        others = [server.open(iter(sender)) for sender in senders[1:]]
        assert not service.comes(3, STALLED_S)
        for sender in senders:
            sender.close()
        assert list(first) == []
        codes = [code_at_the_end(call) for call in others]
        assert grpc.StatusCode.OK in codes
        assert set(codes) <= {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
        assert server.server.stop(LIMIT_S).wait(LIMIT_S)


def test_message_over_our_limit_is_an_answer_in_its_place(lane: str) -> None:
    service = HeldService(at_once)
    with stream_server(lane, service, max_receive_message_length=2 * MAX_BYTES) as server:
        answers = list(server.open(iter([message(0), message(1, MAX_BYTES), message(2)])))
    assert (answered(answers[0]), answered(answers[2])) == ("0", "2")
    assert "--max-message-size" in error_in(answers[1])


def test_message_over_grpcs_limit_ends_its_stream_only(lane: str) -> None:
    service = HeldService(at_once)
    with stream_server(lane, service, max_receive_message_length=2 * MAX_BYTES) as server:
        call = server.open(iter([message(0), message(1, 2 * MAX_BYTES), message(2)]))
        with pytest.raises(grpc.RpcError) as raised:
            list(call)
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert server_answers(server, service)


def test_empty_messages_are_requests(lane: str) -> None:
    service = HeldService(at_once)
    with stream_server(lane, service) as server:
        assert [answered(data) for data in server.open(iter([b"", message(1), b""]))] == ["", "1", ""]


def test_what_is_no_message_is_an_answer_in_its_place(lane: str) -> None:
    service = HeldService(at_once)
    with stream_server(lane, service) as server:
        first, second = server.open(iter([b"\xff\xff", message(1)]))
    assert "is not a inference.ModelInferRequest message" in error_in(first)
    assert answered(second) == "1"


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_messages_are_read(lane: str, compression: grpc.Compression) -> None:
    service = HeldService(at_once)
    with stream_server(lane, service) as server:
        messages = (message(number, 100_000) for number in range(3))
        assert [answered(data) for data in server.open(messages, compression=compression)] == ids(3)
    assert [asked.size for asked in service.asked] == [100_000] * 3


def test_error_that_shall_be_a_status_ends_the_stream_in_its_place(lane: str) -> None:
    service = HeldService(at_once)
    with stream_server(lane, service) as server:
        call = server.open(iter([message(0), b"\xff\xff", message(2)]), metadata=(("triton_grpc_error", "true"),))
        assert answered(next(call)) == "0"
        with pytest.raises(grpc.RpcError) as raised:
            next(call)
        assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_fault_of_the_service_is_an_answer_in_its_place(lane: str) -> None:
    def fault(asked: Asked) -> None:
        if asked.request.id == "1":
            raise RuntimeError("a fault of the service")
        at_once(asked)

    service = HeldService(fault)
    with stream_server(lane, service) as server:
        answers = list(server.open(iter([message(number) for number in range(3)])))
    assert [error_in(data) for data in answers] == ["", "internal error", ""]
