"""Sessions opened through the cache: what is a hit, what is built, and what never keeps a model from opening."""

import gc
import os
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import onnx
import pytest

from ortolan_backends.contract import Backend, Probe
from ortolan_backends.errors import LoadCancelled, OpenRefused
from ortolan_backends.options import parse_options
from ortolan_backends.runtime.log import RuntimeLog
from ortolan_backends.runtime.model import ModelFile, read_model
from ortolan_backends.runtime.session import OpenRung, Session, open_session
from ortolan_server.cache.cache import Cache
from ortolan_server.cache.entry import marks
from ortolan_server.cache.locks import KeyLock
from ortolan_server.cache.use import CacheResult, CacheUse
from ortolan_server.chains.load import Load
from ortolan_server.chains.registry import Registry
from ortolan_server.repository import parse_model_toml
from tests import models
from tests.server.cache import fakes
from tests.server.cache.fakes import Keeping, probe

HIT, MISS, STALE = CacheResult.HIT, CacheResult.MISS, CacheResult.STALE
GIB = 1 << 30

Open = Callable[..., tuple[Session, CacheUse | None]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def model(tmp_path: Path) -> ModelFile:
    return read_model(models.save(models.add_one(), tmp_path / "m"))


@pytest.fixture
def through(folder: Path, model: ModelFile, runtime_log: RuntimeLog) -> Open:
    """`through(backend, …)`: opens the model as a process of its own would."""

    def open_(
        backend: Backend, found: Probe | None = None, *, of: ModelFile = model, limit: int = GIB, **options: object
    ) -> tuple[Session, CacheUse | None]:
        rung = OpenRung(backend, parse_options(backend, options))
        opening = lambda first: open_session(of, [first], runtime_log)  # noqa: E731 - as the ladder has it
        (session, _), use = Cache(folder, limit).open(of, rung, found or probe(), opening)
        return session, use

    return open_


def used(opened: tuple[Session, CacheUse | None]) -> CacheUse:
    assert opened[1] is not None
    return opened[1]


def test_the_first_load_builds_and_the_second_leaves_every_file_as_it_is(through: Open, folder: Path) -> None:
    backend = Keeping("keeping")
    first = used(through(backend))
    assert (first.result, first.reason) == (MISS, "")
    assert Path(first.folder).parents[2] == folder
    assert first.size_bytes > 0
    before = marks(folder / "keeping" / first.key)
    assert set(before) == {"entry.json", "files/optimised.onnx"}
    second = used(through(backend))
    assert (second.result, second.key, second.reason) == (HIT, first.key, "")
    assert marks(folder / "keeping" / first.key) == before
    assert backend.built == [first.folder, first.folder]


@pytest.mark.parametrize(
    ("found", "options", "told"),
    [
        (probe(driver="2.0"), {}, "driver 1.0 -> 2.0"),
        (probe(), {"level": 3}, "option level none -> 3"),
        (Probe(probe().checks, (), {"driver": "1.0"}), {}, "device a processor -> none"),
    ],
)
def test_what_has_changed_is_built_anew_and_named(
    through: Open, found: Probe, options: dict[str, Any], told: str
) -> None:
    backend = Keeping("keeping")
    first = used(through(backend))
    now = used(through(backend, found, **options))
    assert (now.result, now.reason) == (STALE, told)
    assert now.key != first.key
    assert used(through(backend)).result is HIT, "what was there stays, for whoever still has the old driver"


def test_a_model_that_was_written_anew_is_stale(through: Open, model: ModelFile) -> None:
    backend = Keeping("keeping")
    through(backend)
    models.save(models.identity(onnx.TensorProto.FLOAT, ["N", 2]), model.path.parents[1])
    use = used(through(backend, of=read_model(model.path)))
    assert (use.result, use.reason) == (STALE, "the model's bytes")


def test_the_same_model_elsewhere_is_a_hit(through: Open, tmp_path: Path) -> None:
    backend = Keeping("keeping")
    through(backend)
    other = read_model(models.save(models.add_one(), tmp_path / "n", version=7))
    assert used(through(backend, of=other)).result is HIT


def test_a_provider_that_compiles_again_makes_no_hit(through: Open) -> None:
    backend = Keeping("keeping", doing=fakes.always)
    use = used(through(backend))
    assert use.result is MISS
    for _ in range(2):
        os.utime(Path(use.folder, "optimised.onnx"), (1, 1))  # the next may come in the same tick of the disk's clock
        use = used(through(backend))
        assert use.result is MISS
        assert use.reason == ("the provider did not take what was kept, and compiled again: optimised.onnx is new")


def test_what_others_have_changed_is_built_anew_before_the_provider_sees_it(through: Open) -> None:
    backend = Keeping("keeping")
    artefact = Path(used(through(backend)).folder, "optimised.onnx")
    artefact.write_bytes(b"damaged")
    use = used(through(backend))
    assert (use.result, use.reason) == (MISS, "optimised.onnx is not as the provider wrote it")
    assert not artefact.read_bytes().startswith(b"damaged")
    assert used(through(backend)).result is HIT


def test_what_does_not_open_is_dropped_and_built_once_more(through: Open) -> None:
    backend = Keeping("keeping", late=True)  # so that a change of its files is no fault
    Path(used(through(backend)).folder, "optimised.onnx").write_bytes(b"damaged")
    use = used(through(backend))
    assert use.result is MISS
    assert use.reason == "what was kept did not open: the artefact cannot be read"
    assert used(through(backend)).result is HIT


def test_files_written_while_it_runs_belong_to_the_entry(through: Open) -> None:
    backend = Keeping("keeping", doing=fakes.nothing, late=True)
    session, use = through(backend)
    assert use is not None
    assert (use.result, use.size_bytes) == (MISS, 0)
    Path(use.folder, "engine").write_bytes(b"made at the first request")
    del session
    again = used(through(backend))
    assert (again.result, again.size_bytes) == (HIT, 25)


def test_a_refused_build_leaves_nothing(through: Open, folder: Path) -> None:
    with pytest.raises(OpenRefused, match="no memory for the build"):
        through(Keeping("keeping", doing=fakes.refuse))
    assert [path.name for path in folder.glob("*/*") if path.is_dir()] == []


def test_a_provider_that_writes_nothing_has_no_entry(through: Open, folder: Path) -> None:
    use = used(through(Keeping("keeping", doing=fakes.nothing)))
    assert (use.result, use.reason, use.folder) == (MISS, "not kept: the provider wrote nothing", "")
    assert [path.name for path in folder.glob("*/*") if path.is_dir()] == []


def test_a_cache_that_the_options_place_is_theirs(through: Open, folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    _, use = through(Keeping("keeping"), cache_dir=str(own))
    assert use is None
    assert list(own.iterdir())
    assert not folder.exists()


def test_what_cannot_be_loaded_again_is_not_kept(through: Open, folder: Path) -> None:
    backend = Keeping("keeping", unreadable="its reader is missing")
    use = used(through(backend))
    assert (use.result, use.reason) == (MISS, "not kept: its reader is missing")
    assert backend.built == [""]
    assert not folder.exists()


def test_a_folder_that_is_not_safe_is_not_used(through: Open, folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)
    use = used(through(Keeping("keeping")))
    assert use.result is MISS
    assert use.reason.startswith(f"not kept: {folder}: cannot be the cache: others may write to it")
    assert not list(folder.iterdir())


def test_a_folder_that_cannot_be_made_keeps_no_model_from_opening(through: Open, folder: Path) -> None:
    folder.touch()
    session, use = through(Keeping("keeping"))
    assert session.providers == (fakes.CPU,)
    assert use is not None
    assert use.reason == f"not kept: {folder}: cannot be the cache: it is no folder"


def test_a_build_that_never_ended_is_no_hit(through: Open) -> None:
    backend = Keeping("keeping")
    use = used(through(backend))
    (Path(use.folder).parent / "entry.json").unlink()
    again = used(through(backend))
    assert (again.result, again.reason) == (MISS, "")


def test_the_longest_unused_is_evicted_and_never_one_in_use(through: Open, folder: Path, tmp_path: Path) -> None:
    backend = Keeping("keeping")
    session, first = through(backend)
    assert first is not None
    second = used(through(backend, level=1))
    os.utime(folder / "keeping" / f"{first.key}.lock", (1, 1))  # unused for longest, but for its session
    through(backend, level=2, limit=1)
    entries = {path.name for path in (folder / "keeping").iterdir() if path.is_dir()}
    assert first.key in entries
    assert second.key not in entries
    del session
    gc.collect()
    through(backend, level=3, limit=1)
    assert not (folder / "keeping" / first.key).exists()


def test_an_entry_is_in_use_until_its_session_is_gone(through: Open, folder: Path) -> None:
    session, use = through(Keeping("keeping"))
    assert use is not None
    lock = KeyLock(folder / "keeping" / f"{use.key}.lock")
    assert not lock.own_if_free()
    del session
    gc.collect()
    assert lock.own_if_free()
    lock.close()


def test_what_a_session_uses_is_not_replaced_and_nobody_waits_for_it(through: Open) -> None:
    backend = Keeping("keeping")
    session, first = through(backend)
    assert first is not None
    Path(first.folder, "optimised.onnx").write_bytes(b"damaged")
    use = used(through(backend))
    assert (use.result, use.folder) == (MISS, "")
    assert use.reason == "not kept: optimised.onnx is not as the provider wrote it, and a session still uses it"
    del session
    gc.collect()
    assert used(through(backend)).reason == "optimised.onnx is not as the provider wrote it"
    assert used(through(backend)).result is HIT


def test_what_does_not_open_and_is_in_use_is_left(through: Open) -> None:
    backend = Keeping("keeping", late=True)
    session, first = through(backend)
    assert first is not None
    Path(first.folder, "optimised.onnx").write_bytes(b"damaged")
    use = used(through(backend))
    assert use.reason == (
        "not kept: what was kept did not open: the artefact cannot be read, and a session still uses it"
    )
    assert backend.built[-1] == "", "it opened without the cache"
    assert session.providers


def test_a_second_session_of_what_is_written_while_it_runs_needs_no_wait(through: Open) -> None:
    backend = Keeping("keeping", doing=fakes.nothing, late=True)
    session, first = through(backend)
    other, second = through(backend)
    assert first is not None
    assert second is not None
    assert (second.result, second.reason) == (MISS, "the provider had kept nothing")
    assert second.folder == first.folder
    Path(first.folder, "engine").write_bytes(b"made at the first request")
    assert used(through(backend)).result is HIT
    assert (session.providers, other.providers) == ((fakes.CPU,), (fakes.CPU,))


def test_a_load_that_waits_for_another_to_build_can_be_cancelled(
    through: Open, folder: Path, model: ModelFile, runtime_log: RuntimeLog
) -> None:
    use = used(through(Keeping("keeping")))
    builder = KeyLock(folder / "keeping" / f"{use.key}.opening")
    builder.own()
    load, ended = Load(), SimpleQueue[type[BaseException]]()
    registry = Registry(fakes.catalog(), runtime_log, cache=Cache(folder, GIB))
    chain = registry.compose(parse_model_toml({"chain": [{"provider": "keeping"}]}, "test"), "test")

    def wait() -> None:
        try:
            registry.open(model, chain, load=load)
        except LoadCancelled:
            ended.put(LoadCancelled)

    threading.Thread(target=wait, daemon=True).start()
    with pytest.raises(Empty):
        ended.get(timeout=0.2)
    load.handle.cancel("the model was unloaded")
    assert ended.get(timeout=30.0) is LoadCancelled
    builder.close()


def test_uses_are_counted_by_provider_and_result(folder: Path, model: ModelFile, runtime_log: RuntimeLog) -> None:
    cache = Cache(folder, GIB)
    backend = Keeping("keeping")
    rung = OpenRung(backend, parse_options(backend, {}))
    for _ in range(3):
        cache.open(model, rung, probe(), lambda first: open_session(model, [first], runtime_log))
    assert cache.uses == {("keeping", MISS): 1, ("keeping", HIT): 2}
    assert cache.size_bytes > 0
    assert cache.evictions == 0


def test_the_ladder_tells_it_with_the_attempt(folder: Path, model: ModelFile, runtime_log: RuntimeLog) -> None:
    config = parse_model_toml({"chain": [{"provider": "keeping"}]}, "test")
    registry = Registry(fakes.catalog(), runtime_log, cache=Cache(folder, GIB))
    results = []
    for _ in range(2):
        (attempt,) = registry.open(model, registry.compose(config, "test")).attempts
        assert attempt.cache is not None
        results.append(attempt.cache.result)
    assert results == [MISS, HIT]
    (attempt,) = Registry(fakes.catalog(), runtime_log).open(model, registry.compose(config, "test")).attempts
    assert attempt.cache is None
