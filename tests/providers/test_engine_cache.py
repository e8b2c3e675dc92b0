"""The cache with OpenVINO itself: its plugin loads what it kept, its full wheel cannot."""

from pathlib import Path

import pytest

from ortolan_backends.catalog import Catalog
from ortolan_backends.runtime.log import RuntimeLog
from ortolan_backends.runtime.model import read_model
from ortolan_server.cache.cache import Cache
from ortolan_server.cache.use import CacheResult
from ortolan_server.chains.registry import Registry
from ortolan_server.repository import parse_model_toml
from tests import models
from tests.providers.engine_cache import load_at_once, unavailable


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return models.save(models.convolution("Relu"), tmp_path / "m")


@pytest.mark.plugin("onnxruntime-ep-openvino")
def test_a_second_load_is_a_hit_and_two_at_once_build_once(model: Path, tmp_path: Path) -> None:
    if reason := unavailable():
        pytest.skip(reason)
    (first,), (second,) = (load_at_once(model, [tmp_path / "cache"]) for _ in range(2))
    assert (first.result, second.result, second.reason) == ("MISS", "HIT", "")
    assert first.files
    assert first.files == second.files
    together = load_at_once(model, [tmp_path / "other"] * 2)
    assert sorted(load.result for load in together) == ["HIT", "MISS"]
    assert together[0].files == together[1].files
    assert len(together[0].files) == 2, "what the provider wrote, and what we know of it"


@pytest.mark.wheel("onnxruntime-openvino")
def test_what_the_full_wheel_could_not_load_is_not_kept(model: Path, tmp_path: Path, runtime_log: RuntimeLog) -> None:
    registry = Registry(Catalog.from_entry_points(), runtime_log, cache=Cache(tmp_path / "cache", 1 << 30))
    chain = registry.compose(parse_model_toml({"chain": [{"provider": "openvino"}]}, "test"), "test")
    (attempt,) = registry.open(read_model(model), chain).attempts
    assert attempt.cache is not None
    assert attempt.cache.result is CacheResult.MISS
    assert "no libopenvino_ir_frontend" in attempt.cache.reason
    assert not (tmp_path / "cache").exists()
