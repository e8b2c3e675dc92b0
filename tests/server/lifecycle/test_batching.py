"""[batching] of a model, from its load to its answers."""

from pathlib import Path
from queue import SimpleQueue

import numpy as np
import pytest

from ortolan_server.engine.call import InferenceCall, InferenceResult
from ortolan_server.errors import LoadFailed, OrtolanError
from ortolan_server.lifecycle.batch_axis import require_batch_axis
from ortolan_server.lifecycle.states import State
from ortolan_server.tensors import Shape, Signature, TensorSpec
from tests import models
from tests.server.conftest import Manage
from tests.server.lifecycle.calls import WAIT_S

BATCHING = "[batching]\nmax_size = 8\nmax_delay_ms = 60000\n"


def test_calls_are_joined_in_one_run_of_the_session(manage: Manage, tmp_path: Path) -> None:
    models.save(models.add_one(), tmp_path / "m", toml=BATCHING)
    version = manage(tmp_path).find("m", "")
    answers: SimpleQueue[tuple[int, InferenceResult | OrtolanError]] = SimpleQueue()
    for number in range(4):  # the last one fills the batch
        feeds = {"x": np.full((2, 2), number, np.float32)}
        call = InferenceCall(feeds, ("y",), float("inf"), 2, bucket="x")
        version.submit(call, lambda outcome, number=number: answers.put((number, outcome)))  # type: ignore[misc]
    for _ in range(4):
        number, outcome = answers.get(timeout=WAIT_S)
        assert isinstance(outcome, InferenceResult)
        assert outcome.arrays[0].tolist() == [[number + 1.0] * 2] * 2
        assert outcome.batch_rows == 8
    assert version.statistics.snapshot().execution_count == 1


def test_a_model_without_a_batch_axis_does_not_load_with_batching(manage: Manage, tmp_path: Path) -> None:
    models.save(models.simple(), tmp_path / "m", toml="[batching]\n")
    version = manage(tmp_path).known("m", "")
    assert version.state is State.FAILED
    assert version.reason == (
        "[batching] cannot join inferences of this model: input 'INPUT0' INT32[1,16] has a first dimension that is "
        "fixed; leave [batching] out of its model.toml, or export the model with a first dimension that may vary"
    )


@pytest.mark.parametrize(
    ("inputs", "outputs", "fault"),
    [
        ([], [("N", 2)], "it has no input"),
        ([("N", 2)], [None], "output 'y0' FP32[...] may have any rank"),
        ([("N", 2), ()], [("N",)], "input 'x1' FP32[] is a scalar"),
        ([("N",)], [(3, "N")], "output 'y0' FP32[3,N] has a first dimension that is fixed"),
        ([("N", 2), ("M", 2)], [("N",)], "the first dimensions of its inputs differ: M, N"),
        ([("N", "N")], [("N",)], "'N' is the first dimension of its inputs, and another one too"),
    ],
)
def test_what_is_at_fault_is_named(inputs: list[Shape], outputs: list[Shape], fault: str) -> None:
    signature = Signature(
        tuple(TensorSpec(f"x{number}", "FP32", shape) for number, shape in enumerate(inputs)),
        tuple(TensorSpec(f"y{number}", "FP32", shape) for number, shape in enumerate(outputs)),
    )
    with pytest.raises(LoadFailed) as raised:
        require_batch_axis(signature)
    assert str(raised.value).startswith(f"[batching] cannot join inferences of this model: {fault};")


def test_a_batch_axis_will_do() -> None:
    spec = TensorSpec("x", "FP32", ("N", 2))
    require_batch_axis(Signature((spec,), (spec,)))
