"""Inferences in the background."""

import gc
import threading
import tracemalloc
from concurrent.futures import Future, as_completed, wait
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ortolan_client import Cancelled, Client, DeadlineExceeded, InvalidInput, NotFound
from tests.clients.canned import CannedServer

FOUR = {"INPUT0": np.ones((1, 4), np.int32), "INPUT1": np.ones((1, 4), np.int32)}


def test_many_at_a_time(client: Client) -> None:
    answers = [client.submit("simple", {**FOUR, "INPUT0": np.full((1, 4), i, np.int32)}) for i in range(20)]
    assert sorted(int(answer.result()["SUM"][0, 0]) for answer in as_completed(answers, 20)) == list(range(1, 21))


def test_errors_come_out_of_the_future(client: Client, canned: CannedServer) -> None:
    with pytest.raises(NotFound):
        client.submit("nobody", FOUR).result(20)
    with pytest.raises(InvalidInput, match="complex128"):
        client.submit("echo", {"x": np.array([1j])}).result(20)
    canned.answering.clear()
    with pytest.raises(DeadlineExceeded):
        client.submit("simple", FOUR, timeout_s=0.2).result(20)


def test_a_future_does_not_keep_its_request(client: Client) -> None:
    size_bytes = 2**20
    tracemalloc.start()
    try:
        answers = [client.submit("echo", {"x": np.ones(size_bytes, np.uint8)}, outputs=["y"]) for _ in range(20)]
        wait(answers, 20)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 10 * size_bytes
    finally:
        tracemalloc.stop()


def test_cancel_cancels_the_call(client: Client, canned: CannedServer) -> None:
    canned.answering.clear()
    ended: list[Future[dict[str, NDArray[Any]]]] = []
    answer = client.submit("simple", FOUR)
    answer.add_done_callback(ended.append)
    assert answer.cancel()
    assert answer.cancelled()
    assert ended == [answer]
    canned.answering.set()
    assert client.submit("simple", FOUR).result(20)["SUM"].tolist() == [[2, 2, 2, 2]]


def test_an_answer_that_is_there_is_not_cancelled(client: Client) -> None:
    done = threading.Event()
    answer = client.submit("simple", FOUR)
    answer.add_done_callback(lambda _: done.set())
    assert done.wait(20)
    assert not answer.cancel()
    assert answer.result()["SUM"].tolist() == [[2, 2, 2, 2]]


def test_closing_the_client_ends_what_is_under_way(canned: CannedServer) -> None:
    canned.answering.clear()
    with Client(canned.address, timeout_s=20) as client:
        answer = client.submit("simple", FOUR)
        assert canned.came.wait(20)
    with pytest.raises(Cancelled):
        answer.result(20)
