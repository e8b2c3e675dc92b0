"""What is told of the cache: with each attempt, and in the short form of ModelMetadata."""

from pathlib import Path

from ortolan.inference import inference_pb2
from ortolan.v1 import findings_pb2 as pb
from ortolan_backends.runtime.log import RuntimeLog
from ortolan_server.allocation import Allocation
from ortolan_server.cache.cache import Cache
from ortolan_server.chains.registry import Registry
from ortolan_server.lifecycle.manager import ModelManager
from ortolan_server.repository import Repository
from ortolan_server.services.metadata import MetadataService
from ortolan_server.services.reports import assignment_message
from tests import models
from tests.server.cache.fakes import catalog


def test_the_second_load_is_told_as_a_hit(tmp_path: Path, runtime_log: RuntimeLog) -> None:
    models.save(models.add_one(), tmp_path / "models" / "m", toml='[[chain]]\nprovider = "keeping"\n')
    told = []
    for _ in range(2):
        registry = Registry(catalog(), runtime_log, cache=Cache(tmp_path / "cache", 1 << 30))
        repository = Repository.scan(tmp_path / "models")
        manager = ModelManager(repository, registry, Allocation.of_this_machine(), drain_timeout_s=0.0)
        manager.load_all()
        (attempt,) = assignment_message(manager.find("m", ""), omit_nodes=True).attempts
        metadata = MetadataService(manager, version="1", ready_when_empty=False)
        properties = metadata.model_metadata(inference_pb2.ModelMetadataRequest(name="m")).properties
        told.append((pb.CacheUse.Result.Name(attempt.cache.result), properties["ortolan.cache"]))
        assert Path(attempt.cache.folder).is_dir()
        assert attempt.cache.bytes > 0
        assert attempt.cache.key in attempt.cache.folder
        manager.stop(0.0)
    assert told == [("MISS", "MISS"), ("HIT", "HIT")]
