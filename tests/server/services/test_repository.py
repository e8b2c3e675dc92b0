"""The repository calls on a real repository."""

from pathlib import Path

import pytest

from ortolan.inference import inference_pb2 as pb
from ortolan_server.errors import InvalidRequest, LoadFailed, ModelNotFound, NotAllowed, NotSupported, Overloaded
from ortolan_server.lifecycle.manager import ModelManager
from ortolan_server.repository.uploads import Uploads
from ortolan_server.services.repository import RepositoryService
from ortolan_server.settings import CONTROL_OFF
from tests import models
from tests.server.conftest import Manage

Row = tuple[str, str, str]


@pytest.fixture
def manager(manage: Manage, tmp_path: Path) -> ModelManager:
    for number in (2, 10):
        models.save(models.add_one(), tmp_path / "good", version=number, toml="[versions]\nall = true\n")
    models.save(models.add_one(), tmp_path / "broken", toml='[[chain]]\nprovider = "absent"\n')
    models.save(models.add_one(), tmp_path / "misspelt", toml="colour = 1\n")
    models.save(models.add_one(), tmp_path / "missing", toml="[versions]\nspecific = [7]\n")
    return manage(tmp_path)


@pytest.fixture
def service(manager: ModelManager) -> RepositoryService:
    return RepositoryService(manager)


def rows(service: RepositoryService, *, ready: bool = False) -> list[Row]:
    answer = service.index(pb.RepositoryIndexRequest(ready=ready))
    return [(row.name, row.version, row.state) for row in answer.models]


def test_the_index_lists_what_fails_too(service: RepositoryService) -> None:
    assert rows(service) == [
        ("broken", "1", "FAILED"),
        ("good", "2", "READY"),
        ("good", "10", "READY"),
        ("missing", "", "FAILED"),
        ("misspelt", "", "FAILED"),
    ]
    reasons = {row.name: row.reason for row in service.index(pb.RepositoryIndexRequest()).models}
    assert "libabsent.so.1 is missing" in reasons["broken"]
    assert "colour: unknown key" in reasons["misspelt"]
    assert "7 not on disk" in reasons["missing"]


def test_the_index_of_what_is_ready(service: RepositoryService) -> None:
    assert rows(service, ready=True) == [("good", "2", "READY"), ("good", "10", "READY")]


def test_load_and_unload(service: RepositoryService, manager: ModelManager) -> None:
    service.unload(pb.RepositoryModelUnloadRequest(model_name="good"))
    assert rows(service, ready=True) == []
    assert ("good", "10", "UNLOADED") in rows(service)
    service.load(pb.RepositoryModelLoadRequest(model_name="good"))
    assert manager.find("good", "").number == 10


def test_a_load_that_fails_has_every_reason(service: RepositoryService) -> None:
    with pytest.raises(LoadFailed, match="model 'broken': version 1: rung 1 .absent. refused at probe"):
        service.load(pb.RepositoryModelLoadRequest(model_name="broken"))
    with pytest.raises(LoadFailed, match="colour"):
        service.load(pb.RepositoryModelLoadRequest(model_name="misspelt"))


def test_unknown_models(service: RepositoryService) -> None:
    with pytest.raises(ModelNotFound):
        service.load(pb.RepositoryModelLoadRequest(model_name="nothing"))
    with pytest.raises(ModelNotFound):
        service.unload(pb.RepositoryModelUnloadRequest(model_name="nothing"))


def test_control_can_be_off(manager: ModelManager) -> None:
    service = RepositoryService(manager, refusal=CONTROL_OFF)
    with pytest.raises(NotAllowed, match="--allow-control"):
        service.load(pb.RepositoryModelLoadRequest(model_name="good"))
    with pytest.raises(NotAllowed, match="--allow-control"):
        service.unload(pb.RepositoryModelUnloadRequest(model_name="good"))
    assert rows(service, ready=True)


def test_models_that_nobody_asked_for_are_listed(manage: Manage, tmp_path: Path) -> None:
    for name in ("asked", "idle"):
        models.save(models.add_one(), tmp_path / name)
    service = RepositoryService(manage(tmp_path, initial=["asked"]))
    models.save(models.add_one(), tmp_path / "late")
    assert rows(service) == [("asked", "1", "READY"), ("idle", "", "UNLOADED"), ("late", "", "UNLOADED")]
    assert rows(service, ready=True) == [("asked", "1", "READY")]
    service.load(pb.RepositoryModelLoadRequest(model_name="idle"))
    service.unload(pb.RepositoryModelUnloadRequest(model_name="asked"))
    assert rows(service) == [("asked", "1", "UNLOADED"), ("idle", "1", "READY"), ("late", "", "UNLOADED")]


def load_with(service: RepositoryService, model: str, config: str, **files: bytes) -> None:
    request = pb.RepositoryModelLoadRequest(model_name=model)
    request.parameters["config"].string_param = config
    for version, content in files.items():
        request.parameters[f"file:{version[1:]}/model.onnx"].bytes_param = content
    service.load(request)


def test_what_comes_with_a_load(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m")
    manager, uploads = manage(tmp_path, initial=[]), Uploads(1000)
    service = RepositoryService(manager, uploads=uploads)
    load_with(service, "m", '{"version_policy": {"all": {}}, "instance_group": [{"kind": "KIND_CPU"}]}')
    assert manager.find("m", "").config.versions.all
    load_with(service, "n", "", v1=models.add_one().SerializeToString())
    assert rows(service, ready=True) == [("m", "1", "READY"), ("n", "1", "READY")]
    with pytest.raises(InvalidRequest, match="model_name '../n': a model's name cannot have '/'"):
        load_with(service, "../n", "")
    with pytest.raises(InvalidRequest, match="config of the request: is neither"):
        load_with(service, "n", "nonsense")
    with pytest.raises(Overloaded, match="--max-load-size"):
        load_with(service, "n", "", v1=bytes(1000))
    assert rows(service, ready=True) == [("m", "1", "READY"), ("n", "1", "READY")]
    uploads.close()


def test_nothing_comes_with_a_load_unless_the_server_is_told_so(service: RepositoryService) -> None:
    with pytest.raises(NotAllowed, match="taken by ortolan serve --model-control explicit"):
        load_with(service, "good", "{}")


def test_what_is_not_supported_is_named(service: RepositoryService) -> None:
    load = pb.RepositoryModelLoadRequest(model_name="good")
    load.parameters["colour"].string_param = "blue"
    with pytest.raises(NotSupported, match=r"load parameters \(colour\) .*; known: config, file:<path>, ortolan_force"):
        service.load(load)
    unload = pb.RepositoryModelUnloadRequest(model_name="good")
    unload.parameters["force"].bool_param = True
    with pytest.raises(NotSupported, match=r"unload parameters \(force\)"):
        service.unload(unload)
    with pytest.raises(NotSupported, match="repository_name 'other'"):
        service.index(pb.RepositoryIndexRequest(repository_name="other"))
    with pytest.raises(InvalidRequest, match="model_name is empty"):
        service.load(pb.RepositoryModelLoadRequest())


def test_a_load_can_be_forced(service: RepositoryService, manager: ModelManager) -> None:
    load = pb.RepositoryModelLoadRequest(model_name="good")
    load.parameters["ortolan_force"].bool_param = True
    before = manager.find("good", "")
    service.load(load)
    assert manager.find("good", "") is not before
    load.parameters["ortolan_force"].string_param = "true"
    with pytest.raises(InvalidRequest, match="load parameter 'ortolan_force' is string_param; wanted bool_param"):
        service.load(load)


def test_tritonclient_sends_unload_dependents(service: RepositoryService) -> None:
    request = pb.RepositoryModelUnloadRequest(model_name="good")
    request.parameters["unload_dependents"].bool_param = False
    service.unload(request)
    assert rows(service, ready=True) == []
