"""Health in step with the models; the servicer is asked as gRPC would."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import grpc
import pytest
from grpc_health.v1 import health_pb2

from ortolan_server.errors import LoadFailed
from ortolan_server.lifecycle.manager import ModelManager
from ortolan_server.services.metadata import MetadataService
from ortolan_server.transport.health import Health
from tests import models
from tests.server.conftest import Manage
from tests.server.lifecycle.calls import add_one, break_device

DEGRADED = '[require]\nforbid_on_cpu = ["Add"]\notherwise = "degrade"\n'
BROKEN = '[[chain]]\nprovider = "absent"\n'

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Context:
    """As much of a call's context as Check uses."""

    code: grpc.StatusCode | None = None
    details = ""

    def set_code(self, code: grpc.StatusCode) -> None:
        self.code = code

    def set_details(self, details: str) -> None:
        self.details = details


class Asked:
    def __init__(self, manager: ModelManager) -> None:
        metadata = MetadataService(manager, version="1", ready_when_empty=False)
        self.health = Health(manager, metadata, ThreadPoolExecutor(1))
        self.health.follow()

    def __getitem__(self, service: str) -> bool:
        request = health_pb2.HealthCheckRequest(service=service)
        context = Context()
        answer = self.health.servicer.Check(request, cast("grpc.ServicerContext", context))
        if context.code is grpc.StatusCode.NOT_FOUND:
            raise KeyError(context.details)
        assert context.code is None
        assert not context.details
        assert answer.status in (SERVING, NOT_SERVING)
        return bool(answer.status == SERVING)


def test_a_model_that_is_forgotten(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "good")
    models.save(models.add_one(), tmp_path / "bad", toml="colour = 1\n")
    manager = manage(tmp_path)
    health = Asked(manager)
    before = health[""]
    manager.remove("bad")
    assert (before, health[""]) == (False, True)
    manager.remove("good")
    assert not any(health[service] for service in ("", "good", "good/1", "good#contract"))


def test_models_versions_and_contracts(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "kept")
    models.save(models.add_one(), tmp_path / "degraded", toml=DEGRADED)
    models.save(models.add_one(), tmp_path / "broken", toml="required = false\n" + BROKEN)
    manager = manage(tmp_path, loaded=False)
    health = Asked(manager)
    assert not any(health[name] for name in ("", "kept", "kept#contract", "inference.GRPCInferenceService"))
    manager.load_all()
    assert all(health[name] for name in ("", "inference.GRPCInferenceService", "kept", "kept/1", "kept#contract"))
    assert (health["degraded"], health["degraded/1"], health["degraded#contract"]) == (True, True, False)
    assert (health["broken"], health["broken/1"], health["broken#contract"]) == (False, False, False)
    with pytest.raises(KeyError, match="no service 'nothing': ask for MODEL, "):
        _ = health["nothing"]


def test_a_required_model_that_fails_takes_the_server_with_it(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "kept")
    models.save(models.add_one(), tmp_path / "broken", toml=BROKEN)
    manager = manage(tmp_path, loaded=False)
    health = Asked(manager)
    manager.load_all()
    assert (health[""], health["kept"]) == (False, True)


def test_it_follows_an_unload_and_a_load(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m")
    manager = manage(tmp_path)
    health = Asked(manager)
    manager.unload("m")
    assert not any(health[name] for name in ("", "m", "m/1", "m#contract"))
    manager.load("m")
    assert all(health[name] for name in ("", "m", "m/1", "m#contract"))


def test_models_that_were_loaded_before_it_followed(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m")
    health = Asked(manage(tmp_path))
    assert all(health[name] for name in ("", "m", "m/1", "m#contract"))


def test_a_version_that_was_replaced_serves_no_more(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m", version=1)
    manager = manage(tmp_path, loaded=False)
    health = Asked(manager)
    manager.load_all()
    models.save(models.add_one(), tmp_path / "m", version=2)
    manager.load("m")
    assert (health["m"], health["m/1"], health["m/2"]) == (True, False, True)


def test_a_device_failure_shows(manage: Manage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models.save(models.add_one(), tmp_path / "m")
    manager = manage(tmp_path, loaded=False)
    health = Asked(manager)
    manager.load_all()
    break_device(monkeypatch)
    with pytest.raises(Exception, match="the device failed"):
        add_one(manager.find("m", ""), 1.0)
    assert not any(health[name] for name in ("", "m", "m/1", "m#contract"))


def test_it_agrees_with_the_manager_after_a_load_that_failed(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m")
    manager = manage(tmp_path, loaded=False)
    health = Asked(manager)
    manager.load_all()
    models.save(models.add_one(), tmp_path / "late", toml="colour = 1\n")
    with pytest.raises(LoadFailed):
        manager.load("late")
    assert health[""] == manager.ready


def test_nothing_serves_after_the_stop(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m")
    manager = manage(tmp_path)
    health = Asked(manager)
    health.health.stop()
    manager.load("m")
    assert not any(health[name] for name in ("", "m"))
