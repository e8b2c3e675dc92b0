"""The window of calls, stepped by hand: it finds the knee of a server, and gives way."""

import pytest

from ortolan_client._bulk.window import LARGEST_WINDOW, Window


class Server:
    """Works on `slots` calls at once, each for `work_s`; the others wait."""

    def __init__(self, slots: int, work_s: float = 0.010) -> None:
        self.slots = slots
        self.work_s = work_s

    def rounds(self, window: Window, count: int, now_s: float = 0.0) -> float:
        """So many times as many calls as the window allows, one time after the other; returns when it is."""
        for _ in range(count):
            calls = window.size
            latency_s = self.work_s * max(1.0, calls / self.slots)
            for place in range(calls):
                window.answered(now_s, now_s + latency_s, place + 1)
            now_s += latency_s
        return now_s


def started() -> Window:
    window = Window()
    assert window.size == 4  # until it is known how large calls are
    window.restart(0.0)
    return window


@pytest.mark.parametrize("slots", [2, 5, 16, 40])
def test_it_ends_at_the_knee(slots: int) -> None:
    window = started()
    server = Server(slots)
    now_s = server.rounds(window, 30)
    sizes = set()
    for _ in range(40):
        now_s = server.rounds(window, 1, now_s)
        sizes.add(window.size)
    assert slots <= min(sizes)
    assert max(sizes) <= 2 * slots + 1


def test_first_it_doubles() -> None:
    window = started()
    server = Server(1000)
    sizes = [window.size]
    now_s = 0.0
    while window.size < LARGEST_WINDOW:
        now_s = server.rounds(window, 1, now_s)
        if window.size != sizes[-1]:
            sizes.append(window.size)
    assert sizes == [2, 4, 8, 16, 32, 64, 128]
    server.rounds(window, 5, now_s)
    assert window.size == LARGEST_WINDOW


def test_a_refusal_halves_it_once_for_all_calls_that_were_under_way() -> None:
    window = started()
    now_s = Server(1000).rounds(window, 20)
    before = window.size
    for _ in range(10):
        window.refused(now_s, now_s + 0.01)
    assert window.size == before // 2
    window.refused(now_s + 0.02, now_s + 0.03)
    assert window.size == before // 4


def test_it_never_falls_below_one() -> None:
    window = Window()
    for turn in range(10):
        window.refused(turn, turn + 0.5)
    assert window.size == 1


def test_a_server_that_slows_down_gets_fewer_calls() -> None:
    window = started()
    now_s = Server(16).rounds(window, 40)
    before = window.size
    Server(16, work_s=0.030).rounds(window, 1, now_s)
    assert window.size == int(before * 0.7)


def test_it_does_not_grow_while_the_sender_is_the_limit() -> None:
    window = started()
    now_s = 0.0
    for _ in range(40):
        window.answered(now_s, now_s + 0.01, 1)
        now_s += 0.01
    assert window.size == 2


def test_the_least_latency_is_measured_again_after_a_while() -> None:
    """Else a server that became slower for good would be taken for overloaded for ever."""
    window = started()
    now_s = Server(16).rounds(window, 40)
    slower = Server(16, work_s=0.100)
    now_s = slower.rounds(window, 10, now_s)
    assert window.size < 16
    while now_s < 40.0:
        now_s = slower.rounds(window, 1, now_s)
    slower.rounds(window, 20, now_s)
    assert window.size >= 16


def test_a_fixed_one_stays() -> None:
    window = Window(smallest=7, largest=7)
    now_s = Server(1).rounds(window, 20)
    window.refused(now_s, now_s + 1)
    window.restart(now_s + 2)
    assert window.size == 7


def test_restart_begins_anew() -> None:
    window = started()
    now_s = Server(16).rounds(window, 40)
    window.restart(now_s)
    assert window.size == 2
    window.answered(now_s - 1, now_s + 9, 16)  # of before: says nothing
    Server(1000).rounds(window, 2, now_s)
    assert window.size == 4
