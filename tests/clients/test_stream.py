"""Streams: order, in-band errors, errors of the caller's own iterable, leaving early."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from ortolan.inference import inference_pb2 as v2
from ortolan_client import Cancelled, Client, DeadlineExceeded, InferError, InvalidInput
from tests.clients.canned import CannedServer

Item = dict[str, NDArray[np.int32]]


def _items(count: int) -> Iterator[Item]:
    for index in range(count):
        yield {"INPUT0": np.full((1, 4), index, np.int32), "INPUT1": np.ones((1, 4), np.int32)}


def test_answers_come_in_order(client: Client, canned: CannedServer) -> None:
    sums = [int(answer["SUM"][0, 0]) for answer in client.stream("simple", _items(50))]
    assert sums == list(range(1, 51))
    assert [request.id for request in canned.requests] == [str(index) for index in range(50)]


def test_a_failed_item_raises_and_the_stream_goes_on(client: Client) -> None:
    good, bad = next(_items(1)), {"INPUT0": np.zeros((1, 4)), "INPUT1": np.zeros((1, 4))}
    answers = client.stream("simple", [good, bad, good])
    assert next(answers)["SUM"].tolist() == [[1, 1, 1, 1]]
    with pytest.raises(InferError, match="takes INT32") as caught:
        next(answers)
    assert (caught.value.index, caught.value.model, caught.value.code) == (1, "simple", "UNKNOWN")
    assert next(answers)["SUM"].tolist() == [[1, 1, 1, 1]]
    assert list(answers) == []


def test_a_failed_item_lets_the_model_be_asked_again(client: Client, canned: CannedServer) -> None:
    def datatypes_asked() -> int:
        return sum(isinstance(request, v2.ModelMetadataRequest) for request in canned.requests)

    bits = {"INPUT0": np.ones((1, 4), np.uint16), "INPUT1": np.ones((1, 4), np.uint16)}
    for times in (1, 2):
        with pytest.raises(InferError, match="takes INT32"):
            next(client.stream("simple", [bits]))
        assert datatypes_asked() == times


def test_what_the_iterable_raises_comes_after_the_answers(client: Client) -> None:
    def broken() -> Iterator[Item]:
        yield from _items(2)
        raise OSError("disk gone")

    answers = client.stream("simple", broken())
    assert [int(next(answers)["SUM"][0, 0]) for _ in range(2)] == [1, 2]
    with pytest.raises(OSError, match="disk gone"):
        next(answers)
    assert list(answers) == []


def test_an_item_that_cannot_be_sent_is_the_callers_error(client: Client) -> None:
    answers = client.stream("echo", [{"y": np.array([1j])}])
    with pytest.raises(InvalidInput, match="complex128"):
        next(answers)


def test_leaving_early_cancels(client: Client, canned: CannedServer) -> None:
    with client.stream("simple", _items(10_000)) as answers:
        next(answers)
    assert canned.stream_ended.get(timeout=30) == "ended"
    with pytest.raises(Cancelled):
        list(answers)


def test_the_deadline_is_of_the_whole_stream(client: Client) -> None:
    def waiting() -> Iterator[Item]:
        yield from _items(1)
        held.wait(20)

    held = threading.Event()
    answers = client.stream("simple", waiting(), timeout_s=0.5)
    try:
        with pytest.raises(DeadlineExceeded):
            list(answers)
    finally:
        held.set()
