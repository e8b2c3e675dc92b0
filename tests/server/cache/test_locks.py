"""Locks of a key: several of one process exclude each other as processes do."""

import threading
from pathlib import Path

import pytest

from ortolan_server.cache.locks import KeyLock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "key.lock"


def test_many_share_and_one_owns(path: Path) -> None:
    first, second, third = KeyLock(path), KeyLock(path), KeyLock(path)
    first.share()
    second.share()
    assert not third.own_if_free()
    first.close()
    first.close()
    assert not third.own_if_free()
    second.close()
    assert third.own_if_free()
    third.share()
    first.share()
    for lock in (first, third):
        lock.close()


def test_whoever_waited_for_a_lock_that_is_removed_has_the_new_one(path: Path) -> None:
    owner, waiting = KeyLock(path), KeyLock(path)
    owner.own()
    waiter = threading.Thread(target=waiting.share)
    waiter.start()
    owner.remove()
    owner.close()
    waiter.join()
    assert path.exists()
    assert not owner.own_if_free()
    waiting.close()
    assert owner.own_if_free()
    owner.close()


def test_a_lock_that_cannot_be_written_to_can_be_shared(path: Path) -> None:
    path.touch(mode=0o400)
    lock = KeyLock(path)
    lock.share()
    lock.touch()
    lock.close()


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        KeyLock(tmp_path / "missing" / "key.lock").own()
