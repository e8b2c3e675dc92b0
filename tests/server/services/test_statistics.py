"""ModelStatistics, of inferences that were really made."""

from pathlib import Path

import pytest

from ortolan.inference import inference_pb2 as pb
from ortolan_server.errors import ModelNotFound
from ortolan_server.services.statistics import StatisticsService
from tests import models
from tests.server.conftest import Manage
from tests.server.lifecycle.calls import add_one


def test_counts_of_one_version_and_of_all(manage: Manage, tmp_path: Path) -> None:
    for number in (1, 2):
        models.save(models.add_one(), tmp_path / "m", version=number, toml="[versions]\nall = true\n")
    models.save(models.add_one(), tmp_path / "other")
    manager = manage(tmp_path)
    service = StatisticsService(manager)
    for _ in range(3):
        add_one(manager.find("m", "2"), 1.0)

    def counts(name: str = "", version: str = "") -> dict[str, int]:
        answer = service.model_statistics(pb.ModelStatisticsRequest(name=name, version=version))
        return {f"{each.name}/{each.version}": each.inference_count for each in answer.model_stats}

    assert counts() == {"m/1": 0, "m/2": 3, "other/1": 0}
    assert counts("m") == {"m/1": 0, "m/2": 3}
    assert counts("m", "1") == {"m/1": 0}
    with pytest.raises(ModelNotFound):
        counts("nothing")
    with pytest.raises(ModelNotFound):
        counts("m", "9")


def test_durations_are_those_of_the_runs(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m")
    manager = manage(tmp_path)
    add_one(manager.find("m", ""), 1.0)
    (found,) = StatisticsService(manager).model_statistics(pb.ModelStatisticsRequest(name="m")).model_stats
    stats = found.inference_stats
    assert (found.execution_count, stats.queue.count, stats.compute_infer.count, stats.fail.count) == (1, 1, 1, 0)
    assert stats.compute_infer.ns > 0
    assert found.last_inference > 0
    assert [batch.batch_size for batch in found.batch_stats] == [1]


def test_a_reload_starts_from_nothing(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m")
    manager = manage(tmp_path)
    add_one(manager.find("m", ""), 1.0)
    manager.load("m")
    (found,) = StatisticsService(manager).model_statistics(pb.ModelStatisticsRequest(name="m")).model_stats
    assert found.inference_count == 0
