"""A model with a lock, on a provider that does as it is told: what a load makes of nodes that have moved down."""

from pathlib import Path

import pytest

from ortolan.v1 import findings_pb2 as pb
from ortolan_server.chains.registry import Registry
from ortolan_server.errors import ModelNotReady
from ortolan_server.lifecycle.locked import make_lock
from ortolan_server.lifecycle.states import State
from ortolan_server.lifecycle.version import ModelVersion
from ortolan_server.repository.assignment_lock import lock_text, read_lock
from ortolan_server.services.reports import assignment_message
from tests import models
from tests.faulty_provider.faulty import Faulty
from tests.server.conftest import Manage
from tests.server.lifecycle.calls import add_one

LENIENT = '\n[[chain]]\nprovider = "cpu"\n\n[require]\nprovider = ["faulty", "cpu"]\nnode_share = 0.0\n'
MOVED = "1 node runs further down than assignment.lock says: mul (Mul) faulty → cpu"


@pytest.fixture
def model(manage: Manage, registry: Registry, faulty: Faulty, tmp_path: Path) -> Path:
    """The file of a model whose lock says that all is on the provider."""
    path = models.save(models.affine(), tmp_path / "models" / "m", toml=faulty.toml + LENIENT)
    report = manage(tmp_path / "models").find("m", "").report
    assert report is not None
    path.with_name("assignment.lock").write_text(lock_text(make_lock(registry, path, report)))
    return path


def loaded(manage: Manage, model: Path, policy: str = "") -> ModelVersion:
    if policy:
        toml = model.parents[1] / "model.toml"
        toml.write_text(f'{toml.read_text()}\n[lock]\ndrift = "{policy}"\n')
    return manage(model.parents[2]).known("m", "")


def drift(version: ModelVersion) -> pb.Drift:
    message = assignment_message(version, omit_nodes=False)
    assert message.HasField("drift")
    return message.drift


def test_what_is_as_it_was_serves(manage: Manage, model: Path) -> None:
    version = loaded(manage, model)
    assert (version.state, version.reason) == (State.READY, "")
    assert drift(version) == pb.Drift(policy="refuse")


def test_a_model_without_a_lock_has_no_drift(manage: Manage, model: Path) -> None:
    model.with_name("assignment.lock").unlink()
    assert not assignment_message(loaded(manage, model), omit_nodes=False).HasField("drift")


def test_a_node_that_moved_down_refuses_each_rung_that_has_it(manage: Manage, model: Path, faulty: Faulty) -> None:
    faulty.commands.say("skip Mul")
    version = loaded(manage, model)
    assert version.state is State.FAILED
    assert f"rung 1 (faulty) refused at lock: {MOVED};" in version.reason
    assert "rung 2 (cpu) refused at lock: 2 nodes run further down" in version.reason
    assert [(node.name, node.from_provider, node.to_provider) for node in drift(version).moved_down] == [
        ("mul", "faulty", "cpu")
    ]


def test_a_contract_that_may_be_broken_does_not_excuse_it(manage: Manage, model: Path, faulty: Faulty) -> None:
    toml = model.parents[1] / "model.toml"
    toml.write_text(f'{faulty.toml}\n[[chain]]\nprovider = "cpu"\n\n[require]\notherwise = "degrade"\n')
    faulty.commands.say("absent")
    version = loaded(manage, model)
    assert version.state is State.FAILED
    assert "refused at lock: it would run on cpu, and the contract wants faulty; 2 nodes run further" in version.reason


def test_it_may_serve_and_say_degraded(manage: Manage, model: Path, faulty: Faulty) -> None:
    faulty.commands.say("skip Mul")
    version = loaded(manage, model, "degrade")
    assert (version.state, version.reason) == (State.DEGRADED, MOVED)
    assert version.report is not None
    assert version.report.provider == "faulty"
    assert drift(version).policy == "degrade"


def test_it_may_only_be_warned_about(manage: Manage, model: Path, faulty: Faulty) -> None:
    faulty.commands.say("skip Mul")
    version = loaded(manage, model, "warn")
    assert (version.state, version.reason) == (State.READY, "")
    assert version.report is not None
    assert version.report.verdict.warnings == (MOVED,)


def test_what_else_differs_is_told_and_no_drift(manage: Manage, model: Path) -> None:
    path = model.with_name("assignment.lock")
    lock = read_lock(path)
    provider = lock.provider[0].model_copy(update={"devices": ("gpu A card",), "options": {"fast": "1"}})
    changed = lock.model_copy(
        update={
            "versions": {**lock.versions, "driver": "580.82"},
            "files": {"model.onnx": "0" * 64, "weights.bin": "0" * 64},
            "provider": (provider,),
        }
    )
    path.write_text(lock_text(changed))
    version = loaded(manage, model)
    assert version.state is State.READY
    assert list(drift(version).differences) == [
        "model.onnx has changed",
        "weights.bin is gone",
        "driver: 580.82, now none",
        "devices of faulty: gpu A card, now cpu a CPU",
        "faulty: fast: 1, now none",
    ]


def test_a_changed_model_is_compared_by_the_names_it_still_has(manage: Manage, model: Path, faulty: Faulty) -> None:
    proto = models.affine()
    proto.graph.node[1].name = "sum"
    model.write_bytes(proto.SerializeToString())
    version = loaded(manage, model)
    assert version.state is State.READY
    found = drift(version)
    assert (list(found.added), list(found.removed)) == (["sum"], ["add"])
    assert list(found.differences) == ["model.onnx has changed"]
    faulty.commands.say("skip Mul")
    assert MOVED in loaded(manage, model).reason


def test_a_lock_of_another_model_is_warned_about(manage: Manage, model: Path) -> None:
    models.save(models.add_one(), model.parents[1])
    proto = models.add_one()
    proto.graph.node[0].name = "other"
    model.write_bytes(proto.SerializeToString())
    version = loaded(manage, model)
    assert version.state is State.READY
    assert version.report is not None
    assert version.report.verdict.warnings[0].startswith("assignment.lock is of another model")


def test_a_lock_that_is_wrong_fails_the_model(manage: Manage, model: Path) -> None:
    path = model.with_name("assignment.lock")
    path.write_text("format = 2\n")
    version = loaded(manage, model)
    assert version.state is State.FAILED
    assert f"{path}: format: must be 1, not 2" in version.reason


def test_a_provider_that_is_not_installed_any_more_can_be_in_a_lock(manage: Manage, model: Path) -> None:
    path = model.with_name("assignment.lock")
    path.write_text(path.read_text().replace('"faulty"', '"gone"'))
    version = loaded(manage, model)
    assert version.state is State.FAILED  # nothing says that faulty is as good
    found = drift(version)
    assert [node.from_provider for node in found.moved_down] == ["gone", "gone"]
    assert "chain: gone, cpu, now faulty, cpu" in found.differences
    assert "devices of gone: cpu a CPU, now none" in found.differences


def test_a_version_that_must_not_drift_does_not_go_down_its_chain(manage: Manage, model: Path, faulty: Faulty) -> None:
    version = loaded(manage, model)
    faulty.commands.say("lost")
    with pytest.raises(ModelNotReady, match="the device failed"):
        add_one(version, 1.0)
    assert version.state is State.FAILED


def test_one_that_may_drift_goes_down_and_says_so(manage: Manage, model: Path, faulty: Faulty) -> None:
    version = loaded(manage, model, "degrade")
    faulty.commands.say("lost")
    assert add_one(version, 1.0) == 3.0
    assert version.state is State.DEGRADED
    assert [(node.name, node.to_provider) for node in drift(version).moved_down] == [("add", "cpu"), ("mul", "cpu")]
