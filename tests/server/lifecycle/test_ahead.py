"""Building ahead: each rung that keeps what it compiles has its outcome, and a failure leaves the others alone."""

from pathlib import Path

import pytest

from ortolan_backends.runtime.log import RuntimeLog
from ortolan_server.cache.cache import Cache
from ortolan_server.chains.registry import Registry
from ortolan_server.lifecycle.ahead import Ahead, AheadOutcome, errand, run_errand
from ortolan_server.repository import Repository
from tests import models
from tests.server.cache import fakes

HIT, BUILT, OWN = AheadOutcome.HIT, AheadOutcome.BUILT, AheadOutcome.OWN
ABSENT, NOT_KEPT, REFUSED = AheadOutcome.ABSENT, AheadOutcome.NOT_KEPT, AheadOutcome.REFUSED


def chain(*rungs: str) -> str:
    return "".join(f"[[chain]]\nprovider = {rung}\n" for rung in rungs)


@pytest.fixture
def registry(tmp_path: Path, runtime_log: RuntimeLog) -> Registry:
    return Registry(fakes.catalog(), runtime_log, cache=Cache(tmp_path / "cache", 1 << 30))


def build(registry: Registry, path: Path) -> list[Ahead]:
    (entry,) = Repository.scan(path).models.values()
    assert entry.error is None
    (version,) = entry.versions
    return list(run_errand(registry, errand(registry, entry, version)))


def outcomes(found: list[Ahead]) -> list[tuple[int, str, AheadOutcome]]:
    return [(each.rung, each.provider, each.outcome) for each in found]


def test_every_rung_that_keeps_is_built_once_whatever_the_contract_says(registry: Registry, tmp_path: Path) -> None:
    toml = chain('"keeping"', '"cpu"', '"keeping"\nlevel = 2') + '[require]\nforbid_on_cpu = ["Add"]\n'
    models.save(models.add_one(), tmp_path / "m", toml=toml)
    assert outcomes(build(registry, tmp_path / "m")) == [(1, "keeping", BUILT), (3, "keeping", BUILT)]
    again = build(registry, tmp_path / "m")
    assert outcomes(again) == [(1, "keeping", HIT), (3, "keeping", HIT)]
    assert all(each.use and each.use.size_bytes > 0 for each in again)


def test_what_was_stale_is_built_and_says_what_has_changed(registry: Registry, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m", toml=chain('"keeping"'))
    build(registry, tmp_path / "m")
    models.save(models.add_one(), tmp_path / "m", toml=chain('"keeping"\nlevel = 2'))
    (found,) = build(registry, tmp_path / "m")
    assert (found.outcome, found.reason) == (BUILT, "stale: option level none -> 2")


def test_a_refused_rung_leaves_those_below(registry: Registry, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m", toml=chain('"refusing"', '"absent"', '"unreadable"', '"keeping"'))
    found = build(registry, tmp_path / "m")
    assert outcomes(found) == [
        (1, "refusing", REFUSED),
        (2, "absent", ABSENT),
        (3, "unreadable", NOT_KEPT),
        (4, "keeping", BUILT),
    ]
    assert [each.reason for each in found] == [
        "no memory for the build",
        "no such device (buy one)",
        "not kept: its reader is missing",
        "",
    ]
    assert [each.outcome.is_failure for each in found] == [True, False, True, False]


def test_a_cache_of_its_own_is_left_to_it(registry: Registry, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    models.save(models.add_one(), tmp_path / "m", toml=chain(f'"keeping"\ncache_dir = "{own}"'))
    assert outcomes(build(registry, tmp_path / "m")) == [(1, "keeping", OWN)]


def test_what_is_compiled_for_its_samples_is_built_too(registry: Registry, tmp_path: Path) -> None:
    toml = chain('"keeping"') + "[[warmup]]\n[warmup.inputs.x]\nshape = [1, 7]\n"
    models.save(models.add_one(), tmp_path / "m", toml=toml)
    (found,) = build(registry, tmp_path / "m")
    assert found.outcome is REFUSED
    assert "has shape [1,7]" in found.reason


def test_a_model_that_cannot_be_read_is_told_once(registry: Registry, tmp_path: Path) -> None:
    path = models.save(models.add_one(), tmp_path / "m", toml=chain('"keeping"', '"unreadable"'))
    path.write_bytes(b"no model")
    (found,) = build(registry, tmp_path / "m")
    assert (found.rung, found.outcome) == (0, REFUSED)
    assert "is not a readable ONNX model" in found.reason


def test_a_chain_that_is_wrong_is_told(registry: Registry, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m", toml=chain('"keeping"\nlevel = 99'))
    (found,) = build(registry, tmp_path / "m")
    assert (found.rung, found.outcome) == (0, REFUSED)
    assert "level = 99 is refused" in found.reason


def test_a_model_without_such_a_rung_is_no_errand(registry: Registry, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m")
    assert build(registry, tmp_path / "m") == []
