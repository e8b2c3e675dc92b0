"""Warm-up with real sessions: which runs are made before a version is READY, and which of them end its load."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from structlog.testing import capture_logs

from ortolan_backends.runtime.ort import onnxruntime
from ortolan_server.chains.report import AttemptOutcome
from ortolan_server.lifecycle.states import State
from ortolan_server.lifecycle.version import ModelVersion
from tests import models
from tests.server.conftest import Manage

Watch = Callable[[Callable[[], object]], list[tuple[object, dict[str, Any]]]]


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """`watch(state)`: the runs of ONNX Runtime from now on, each as what `state()` says meanwhile and its inputs."""

    def start(state: Callable[[], object]) -> list[tuple[object, dict[str, Any]]]:
        seen: list[tuple[object, dict[str, Any]]] = []
        run = onnxruntime.InferenceSession.run

        def watched(session: Any, outputs: Any, feeds: dict[str, Any], options: Any) -> Any:
            seen.append((state(), feeds))
            return run(session, outputs, feeds, options)

        monkeypatch.setattr(onnxruntime.InferenceSession, "run", watched)
        return seen

    return start


def load(manage: Manage, folder: Path, proto: onnx.ModelProto, toml: str) -> ModelVersion:
    models.save(proto, folder / "m", toml=toml)
    return manage(folder).known("m", "")


def seven() -> onnx.ModelProto:
    """Takes seven values, and says it takes any number."""
    return models.model(
        [helper.make_node("Reshape", ["x", "shape"], ["y"], name="reshape")],
        [models.value("x", TensorProto.FLOAT, ["N"])],
        [models.value("y", TensorProto.FLOAT, ["M"])],
        [models.tensor("shape", [7], "int64")],
    )


def test_every_size_of_a_batch_is_run_before_it_is_ready(manage: Manage, tmp_path: Path, watch: Watch) -> None:
    models.save(models.add_one(), tmp_path / "m", toml="[batching]\nmax_size = 6\npreferred_sizes = [3]\n")
    manager = manage(tmp_path, loaded=False)
    runs = watch(lambda: manager.known("m", "").state)
    manager.load_all()
    assert [(state, feeds["x"].shape) for state, feeds in runs] == [(State.WARMING, (n, 2)) for n in (1, 2, 3, 4, 6)]
    assert manager.known("m", "").state is State.READY


def test_samples_are_run_as_often_as_they_say(manage: Manage, tmp_path: Path, watch: Watch) -> None:
    toml = "[[warmup]]\nbatch_sizes = [2, 5]\nruns = 3\n[[warmup]]\ninputs.x = { file = 'x.npy' }\n"
    models.save(models.add_one(), tmp_path / "m", toml=toml)
    np.save(tmp_path / "m" / "x.npy", np.full((1, 2), 7, np.float32))
    manager = manage(tmp_path, loaded=False)
    runs = watch(lambda: None)
    with capture_logs() as events:
        manager.load_all()
    assert [len(feeds["x"]) for _, feeds in runs] == [2, 2, 2, 5, 5, 5, 1]
    assert runs[-1][1]["x"].tolist() == [[7.0, 7.0]]
    (event,) = (event for event in events if event["event"] == "model_warmed")
    assert (event["model"], event["runs"]) == ("m", 7)


def test_a_sample_that_the_model_refuses_ends_the_load(manage: Manage, tmp_path: Path) -> None:
    version = load(manage, tmp_path, seven(), "[[warmup]]\ninputs.x = { shape = [6] }\n")
    assert version.state is State.FAILED
    assert version.reason.startswith(
        "rung 1 (cpu) refused at warm: warm-up sample 1: the model refuses it: Non-zero status code returned while "
        "running Reshape node."
    )
    assert version.report is not None
    (attempt,) = version.report.attempts
    assert (attempt.outcome, attempt.stage) == (AttemptOutcome.REFUSED, "warm")
    assert (version.report.session, version.report.rung) == (None, 0)


def test_a_sample_that_the_model_takes(manage: Manage, tmp_path: Path) -> None:
    assert load(manage, tmp_path, seven(), "[[warmup]]\ninputs.x = { shape = [7] }\n").state is State.READY


def test_a_sample_that_nobody_wrote_may_be_refused(manage: Manage, tmp_path: Path) -> None:
    with capture_logs() as events:
        assert load(manage, tmp_path, seven(), "").state is State.READY
    assert "warm_up_refused" in [event["event"] for event in events]


def test_a_sample_that_memory_does_not_hold_ends_the_load(manage: Manage, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    np.save(tmp_path / "m" / "shape.npy", np.array([1 << 60]))
    toml = "[[warmup]]\nname = 'huge'\ninputs.shape = { file = 'shape.npy' }\n"
    version = load(manage, tmp_path, models.constant_of_shape(), toml)
    assert version.state is State.FAILED
    assert "refused at warm: warm-up sample 'huge': " in version.reason


def test_a_sample_without_its_file_fails_before_a_session_is_opened(manage: Manage, tmp_path: Path) -> None:
    version = load(manage, tmp_path, models.add_one(), "[[warmup]]\ninputs.x = { file = 'x.npy' }\n")
    assert version.state is State.FAILED
    assert version.reason == "warm-up sample 1: input 'x': 'x.npy' cannot be read: No such file or directory"


def test_a_sample_that_does_not_fit_is_known_before_the_first_run(manage: Manage, tmp_path: Path) -> None:
    version = load(manage, tmp_path, models.add_one(), "[[warmup]]\ninputs.z = { data = 'zeros' }\n")
    assert version.state is State.FAILED
    assert version.reason == "warm-up sample 1: the model has no input 'z'; it takes 'x' FP32[N,2]"
