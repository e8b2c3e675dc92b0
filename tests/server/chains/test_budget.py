"""What a budget lets in, and what it says when it does not."""

import pytest

from ortolan_backends.errors import OpenRefused
from ortolan_server.chains.budget import HOST, Amount, Budget, Holder

MIB = 2**20
A, B = Holder("a", "1", "rung 1 (cpu)"), Holder("b", "3", "rung 2 (cuda)")


def host(mebibytes: int) -> list[Amount]:
    return [Amount(HOST, mebibytes * MIB)]


def gpu(mebibytes: int, there: int = 0) -> list[Amount]:
    return [*host(1), Amount("gpu:0", mebibytes * MIB, there * MIB)]


def test_up_to_the_bound_and_no_further() -> None:
    budget = Budget(host_bytes=10 * MIB)
    budget.take(A, host(4))
    budget.take(A, host(3))
    budget.take(B, host(3))
    with pytest.raises(OpenRefused) as caught:
        budget.take(B, host(1))
    assert caught.value.stage == "memory"
    assert caught.value.reason == (
        "it needs 1.0 MiB of host memory, and 10.0 MiB of 10.0 MiB are taken: a/1 rung 1 (cpu) 7.0 MiB, "
        "b/3 rung 2 (cuda) 3.0 MiB (--memory-limit)"
    )


def test_what_is_given_back_can_be_taken_again() -> None:
    budget = Budget(host_bytes=10 * MIB)
    number = budget.take(A, host(10))
    budget.give_back(number)
    budget.give_back(number)
    assert budget.holds == ()
    budget.take(B, host(10))
    assert len(budget.holds) == 1


def test_who_does_not_get_all_takes_nothing() -> None:
    budget = Budget(host_bytes=10 * MIB, device_bytes=2 * MIB)
    with pytest.raises(
        OpenRefused, match=r"^it needs 3\.0 MiB of gpu:0 memory, and 0 bytes of 2\.0 MiB are taken \(--d"
    ):
        budget.take(A, gpu(3))
    assert budget.holds == ()


@pytest.mark.parametrize(
    ("bound", "there", "limit"), [(0, 0, None), (5, 0, 5), (0, 8, 8), (5, 8, 5), (9, 8, 8)], ids=str
)
def test_a_device_has_the_bound_or_what_it_has(bound: int, there: int, limit: int | None) -> None:
    budget = Budget(device_bytes=bound * MIB)
    budget.take(A, gpu(4, there))
    assert budget.limits == ({} if limit is None else {"gpu:0": limit * MIB})
    if limit:
        with pytest.raises(OpenRefused):
            budget.take(B, gpu(limit - 3, there))


def test_devices_are_apart() -> None:
    budget = Budget(device_bytes=4 * MIB)
    budget.take(A, gpu(4))
    budget.take(A, [Amount("gpu:1", 4 * MIB)])
    assert budget.limits == {"gpu:0": 4 * MIB, "gpu:1": 4 * MIB}


def test_without_a_bound_all_is_let_in() -> None:
    budget = Budget()
    budget.take(A, host(10**9))
    assert len(budget.holds) == 1
