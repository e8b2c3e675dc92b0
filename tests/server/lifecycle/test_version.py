"""One version's load: what ends it, and what it says then."""

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ortolan_server.chains.contract import VerdictState
from ortolan_server.chains.registry import Registry
from ortolan_server.errors import ModelNotReady
from ortolan_server.lifecycle.history import EventKind, History, Step
from ortolan_server.lifecycle.states import State
from ortolan_server.lifecycle.version import ModelVersion
from ortolan_server.repository import ModelToml
from tests import models
from tests.server.conftest import Manage
from tests.server.lifecycle.calls import add_one, break_device


def load(manage: Manage, folder: Path, proto: onnx.ModelProto, toml: str = "") -> ModelVersion:
    models.save(proto, folder / "m", toml=toml)
    return manage(folder).known("m", "")


def test_a_degraded_one_serves_and_says_why(manage: Manage, tmp_path: Path) -> None:
    toml = '[require]\nforbid_on_cpu = ["Add"]\notherwise = "degrade"\n'
    version = load(manage, tmp_path, models.add_one(), toml)
    assert (version.state, version.serves) == (State.DEGRADED, True)
    assert version.reason == "on the CPU, where the contract forbids them: 1 Add"
    assert add_one(version, 1.0) == 2.0


def test_a_ready_one_has_no_reason(manage: Manage, tmp_path: Path) -> None:
    version = load(manage, tmp_path, models.add_one())
    assert (version.state, version.reason) == (State.READY, "")
    assert version.load_s > 0
    assert version.loaded_at is not None


def test_a_chain_that_is_wrong_fails_it(manage: Manage, tmp_path: Path) -> None:
    version = load(manage, tmp_path, models.add_one(), '[[chain]]\nprovider = "cpu"\ntreads = 2\n')
    assert version.state is State.FAILED
    assert "model.toml: chain[1]: cpu: " in version.reason
    with pytest.raises(ModelNotReady, match="is FAILED: "):
        _ = version.signature


def test_a_backend_that_crashes_fails_its_model_only(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "a", toml='[[chain]]\nprovider = "crashing"\n')
    models.save(models.add_one(), tmp_path / "b")
    manager = manage(tmp_path)
    version = manager.known("a", "")
    assert version.state is State.FAILED
    assert "refused at probe: its probe raised ZeroDivisionError: the third party divides by zero" in version.reason
    assert manager.find("b", "").state is State.READY


def test_a_sequence_as_output_is_refused(manage: Manage, tmp_path: Path) -> None:
    proto = models.model(
        [helper.make_node("SequenceConstruct", ["x", "x"], ["y"], name="pair")],
        [models.value("x", TensorProto.FLOAT, [2])],
        [helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None)],
    )
    version = load(manage, tmp_path, proto)
    assert version.state is State.FAILED
    assert "output 'y' is seq(tensor(float))" in version.reason
    assert version.report is not None
    assert version.report.verdict.state is VerdictState.BROKEN
    assert version.report.session is None


def test_a_zip_map_is_refused_with_the_way_out(manage: Manage, tmp_path: Path) -> None:
    proto = models.model(
        [helper.make_node("ZipMap", ["x"], ["y"], name="zip", domain="ai.onnx.ml", classlabels_int64s=[0, 1])],
        [models.value("x", TensorProto.FLOAT, ["N", 2])],
        [],
    )
    labels = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    proto.graph.output.append(helper.make_value_info("y", helper.make_sequence_type_proto(labels)))
    proto.opset_import.add(domain="ai.onnx.ml", version=1)
    version = load(manage, tmp_path, proto)
    assert version.state is State.FAILED
    assert "seq(map(int64,tensor(float)))" in version.reason
    assert "options={'zipmap': False}" in version.reason


def ep_context() -> onnx.NodeProto:
    return helper.make_node("EPContext", ["x"], ["y"], name="blob", domain="com.microsoft", ep_cache_context="x.bin")


def test_compiled_code_is_refused(manage: Manage, tmp_path: Path) -> None:
    proto = models.add_one()
    proto.graph.node[0].CopyFrom(ep_context())
    proto.opset_import.add(domain="com.microsoft", version=1)
    version = load(manage, tmp_path, proto)
    assert version.state is State.FAILED
    assert "is an EPContext: compiled code of a provider is not taken from a model" in version.reason


def test_compiled_code_in_a_function_is_refused_too(manage: Manage, tmp_path: Path) -> None:
    proto = models.add_one()
    proto.graph.node[0].CopyFrom(helper.make_node("Hidden", ["x"], ["y"], name="call", domain="local"))
    opsets = [helper.make_opsetid("com.microsoft", 1)]
    proto.functions.append(helper.make_function("local", "Hidden", ["x"], ["y"], [ep_context()], opsets))
    proto.opset_import.add(domain="local", version=1)
    proto.opset_import.add(domain="com.microsoft", version=1)
    version = load(manage, tmp_path, proto)
    assert version.state is State.FAILED
    assert "is an EPContext: compiled code of a provider is not taken from a model" in version.reason


def test_functions_that_call_each_other_are_refused(manage: Manage, tmp_path: Path) -> None:
    proto = models.add_one()
    proto.graph.node[0].CopyFrom(helper.make_node("Again", ["x"], ["y"], name="call", domain="local"))
    again = helper.make_node("Again", ["x"], ["y"], domain="local")
    opsets = [helper.make_opsetid("local", 1)]
    proto.functions.append(helper.make_function("local", "Again", ["x"], ["y"], [again], opsets))
    proto.opset_import.extend(opsets)
    version = load(manage, tmp_path, proto)
    assert version.state is State.FAILED
    assert "cannot be inlined" in version.reason
    assert "recursive" in version.reason


def test_external_data_beside_the_model_is_read(manage: Manage, tmp_path: Path) -> None:
    (tmp_path / "m" / "1").mkdir(parents=True)
    (tmp_path / "m" / "1" / "one.bin").write_bytes(np.float32(1).tobytes())
    version = load(manage, tmp_path, models.with_external_data())
    assert version.state is State.READY
    assert add_one(version, 4.0) == 5.0


def test_external_data_with_a_second_name_is_refused(manage: Manage, tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    (folder / "m" / "1").mkdir(parents=True)
    (tmp_path / "secret.bin").write_bytes(np.float32(1).tobytes())
    os.link(tmp_path / "secret.bin", folder / "m" / "1" / "one.bin")
    version = load(manage, folder, models.with_external_data())
    assert version.state is State.FAILED
    assert "tensor 'one'" in version.reason
    assert "hard link" in version.reason


def test_a_device_that_fails_at_the_first_run(manage: Manage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    break_device(monkeypatch)
    version = load(manage, tmp_path, models.add_one())
    assert version.state is State.FAILED
    assert version.reason.startswith(
        "rung 1 (cpu) refused at warm: the device failed at the first run: CUDA failure 700"
    )
    assert version.report is not None
    assert version.report.session is None
    assert version.report.verdict.state is VerdictState.BROKEN


def test_a_device_that_fails_while_serving_ends_it(
    manage: Manage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = load(manage, tmp_path, models.add_one())
    break_device(monkeypatch)
    with pytest.raises(ModelNotReady, match="the device failed"):
        add_one(version, 1.0)
    assert version.state is State.FAILED
    assert not version.serves
    assert version.report is not None
    assert version.report.verdict.state is VerdictState.BROKEN
    with pytest.raises(ModelNotReady, match="is FAILED: the device failed while serving"):
        add_one(version, 1.0)


@pytest.mark.parametrize("shape", [[2**40], [2**31, 2**31]])
def test_a_model_too_large_to_warm_up_serves_cold(manage: Manage, tmp_path: Path, shape: list[int]) -> None:
    assert load(manage, tmp_path, models.identity(TensorProto.FLOAT, shape)).state is State.READY


def test_a_model_that_refuses_zeros_serves_cold(manage: Manage, tmp_path: Path) -> None:
    proto = models.model(
        [helper.make_node("Reshape", ["x", "shape"], ["y"], name="reshape")],
        [models.value("x", TensorProto.FLOAT, ["N"])],
        [models.value("y", TensorProto.FLOAT, [7])],
        [models.tensor("shape", [7], "int64")],
    )
    assert load(manage, tmp_path, proto).state is State.READY


def test_strings_and_scalars_are_warmed_up(manage: Manage, tmp_path: Path) -> None:
    proto = models.model(
        [
            helper.make_node("Identity", ["s"], ["t"], name="same"),
            helper.make_node("Add", ["x", "x"], ["y"], name="add"),
        ],
        [models.value("s", TensorProto.STRING, ["N"]), models.value("x", TensorProto.FLOAT, [])],
        [models.value("t", TensorProto.STRING, ["N"]), models.value("y", TensorProto.FLOAT, [])],
    )
    assert load(manage, tmp_path, proto).state is State.READY


def test_one_that_is_cancelled_at_its_last_step_has_failed(registry: Registry, tmp_path: Path) -> None:
    class LastStep(History):
        """Whose first event is that it is loaded."""

        def note(self, kind: EventKind, reason: str = "", step: Step | None = None) -> None:
            super().note(kind, reason, step)
            version.cancel("nobody wants it")

    path = models.save(models.add_one(), tmp_path / "m")
    version = ModelVersion("m", 1, path, ModelToml(), lambda _version: None, LastStep())
    version.load(registry, "m/model.toml", tmp_path / "m", 1)
    assert (version.state, version.reason) == (State.FAILED, "the load was cancelled: nobody wants it")
