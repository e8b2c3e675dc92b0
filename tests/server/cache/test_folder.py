"""Whose folder it may be, and what goes when it is full."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ortolan_server.cache.entry import Entry
from ortolan_server.cache.folder import CacheFolder, Kept, too_many
from ortolan_server.cache.key import KeyParts
from ortolan_server.cache.locks import KeyLock
from ortolan_server.errors import InvalidConfig

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PARTS = KeyParts("keeping", "m", {}, (), {})


def key_of(name: str) -> str:
    """A key that begins with a name."""
    return name.encode().hex().ljust(32, "0")


def filled(folder: CacheFolder, name: str, *, size: int = 100, used_s: int = 0, whole: bool = True) -> Entry:
    entry = folder.entry("keeping", key_of(name))
    entry.prepare()
    (entry.files / "artefact").write_bytes(bytes(size))
    if whole:
        entry.complete(PARTS, Path("/models/m/1/model.onnx"), NOW, 1.5)
    lock = KeyLock(entry.lock_path)
    lock.own()
    lock.close()
    os.utime(entry.lock_path, (used_s, used_s))
    return entry


def names(folder: CacheFolder) -> list[str]:
    return [name_of(entry) for entry in folder.entries()]


def name_of(entry: Entry) -> str:
    return bytes.fromhex(entry.key).rstrip(b"\0").decode()


def test_a_new_folder_is_nobody_elses(tmp_path: Path) -> None:
    folder = CacheFolder(tmp_path / "a" / "cache")
    folder.require_safe()
    assert folder.path.stat().st_mode & 0o777 == 0o700
    folder.require_safe()


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o1777])
def test_one_that_others_may_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    with pytest.raises(InvalidConfig, match=r"others may write to it \(mode 0?[17]?7.*chmod go-w"):
        CacheFolder(tmp_path).require_safe()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_one_of_another_user_is_refused_and_one_of_root_is_not(tmp_path: Path) -> None:
    CacheFolder(tmp_path).require_safe()
    os.chown(tmp_path, 12345, -1)
    with pytest.raises(InvalidConfig, match=r"it belongs to user 12345.*give a folder of user 0"):
        CacheFolder(tmp_path).require_safe()


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(InvalidConfig, match=r"cannot be the cache: it is no folder"):
        CacheFolder(file).require_safe()


def test_the_longest_unused_go_first_until_the_rest_fits() -> None:
    kept = [
        Kept(Entry(Path("/c/p"), key), size, used) for key, size, used in (("a", 50, 3), ("b", 50, 1), ("c", 10, 2))
    ]
    assert [each.entry.key for each in too_many(kept, 110)] == []
    assert [each.entry.key for each in too_many(kept, 109)] == ["b"]
    assert [each.entry.key for each in too_many(kept, 60)] == ["b"]
    assert [each.entry.key for each in too_many(kept, 59)] == ["b", "c"]
    assert [each.entry.key for each in too_many(kept, 0)] == ["b", "c", "a"]


def test_what_is_in_use_is_not_evicted(tmp_path: Path) -> None:
    folder = CacheFolder(tmp_path)
    used = filled(folder, "used")
    filled(folder, "free")
    lock = KeyLock(used.lock_path)
    lock.share()
    assert [name_of(kept.entry) for kept in folder.evict(folder.kept())] == ["free"]
    assert names(folder) == ["used"]
    lock.close()
    assert [name_of(kept.entry) for kept in folder.evict(folder.kept())] == ["used"]
    assert not list((tmp_path / "keeping").iterdir()), "its lock is gone too"


def test_a_build_that_never_ended_is_swept_and_one_that_goes_on_is_not(tmp_path: Path) -> None:
    folder = CacheFolder(tmp_path)
    filled(folder, "whole")
    filled(folder, "crashed", whole=False)
    lock = KeyLock(filled(folder, "building", whole=False).lock_path)
    lock.own()
    assert folder.sweep() == 1
    assert names(folder) == ["building", "whole"]
    lock.close()


def test_a_record_tells_what_it_was_made_of(tmp_path: Path) -> None:
    entry = filled(CacheFolder(tmp_path), "k")
    record = entry.record()
    assert record is not None
    assert (record.parts, record.path, record.created) == (PARTS, "/models/m/1/model.onnx", "2026-01-01T00:00:00+00:00")
    assert list(record.digests) == ["artefact"]
    assert entry.fault(record) == ""
    (entry.files / "artefact").write_bytes(b"x")
    assert entry.fault(record) == "artefact"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"parts": 1}', "\xff", '{"parts": {"provider": "p"}}'])
def test_a_record_that_is_not_whole_is_none(tmp_path: Path, text: str) -> None:
    entry = filled(CacheFolder(tmp_path), "k")
    (entry.folder / "entry.json").write_text(text, encoding="latin-1")
    assert entry.record() is None


def test_what_is_not_ours_is_no_entry_and_stays(tmp_path: Path) -> None:
    folder = CacheFolder(tmp_path)
    filled(folder, "ours")
    (tmp_path / "Documents" / "letters").mkdir(parents=True)
    (tmp_path / "Documents" / "diary.lock").touch()
    run = tmp_path / "mlruns" / ("0" * 32)  # called as an entry is, by whoever records runs so
    run.mkdir(parents=True)
    (run / "meta.yaml").touch()
    assert names(folder) == ["ours"]
    folder.sweep()
    folder.evict(folder.kept())
    assert sorted(path.name for path in (tmp_path / "Documents").iterdir()) == ["diary.lock", "letters"]
    assert (run / "meta.yaml").exists()


def test_what_somebody_uses_is_known(tmp_path: Path) -> None:
    folder = CacheFolder(tmp_path)
    entry = filled(folder, "k")
    assert not folder.is_in_use(entry)
    lock = KeyLock(entry.lock_path)
    lock.share()
    assert folder.is_in_use(entry)
    lock.close()
    entry.lock_path.unlink()
    assert not folder.is_in_use(entry)
    assert not entry.lock_path.exists(), "looking makes nothing"
