"""After a run without memory the next one gives back what the arenas hold."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ortolan_backends.cpu import CpuBackend
from ortolan_backends.errors import OutOfMemory
from ortolan_backends.runtime.log import RuntimeLog
from ortolan_backends.runtime.model import read_model
from ortolan_backends.runtime.session import OpenRung, RunHandle, Session, open_session
from tests import models
from tests.faulty_provider.faulty import Faulty

ROWS = 20_000


def wide() -> onnx.ModelProto:
    """Input x FP32[N,4] → output y FP32[N,4], by way of FP32[N,1000]."""
    nodes = [
        helper.make_node("MatMul", ["x", "out"], ["a"], name="widen"),
        helper.make_node("Softmax", ["a"], ["b"], name="softmax"),
        helper.make_node("MatMul", ["b", "back"], ["y"], name="narrow"),
    ]
    weights = [models.tensor("out", np.ones((4, 1000))), models.tensor("back", np.ones((1000, 4)))]
    x, y = (models.value(name, TensorProto.FLOAT, ["N", 4]) for name in "xy")
    return models.model(nodes, [x], [y], weights)


def resident_bytes() -> int:
    fields = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return int(fields[1]) * 4096


def open_on(rungs: list[OpenRung], path: Path, log: RuntimeLog) -> Session:
    session, _ = open_session(read_model(path), rungs, log)
    return session


def cpu(**options: object) -> OpenRung:
    backend = CpuBackend()
    return OpenRung(backend, backend.options(**options))


def run(session: Session, rows: int) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    (answer,) = session.run({"x": np.ones((rows, 4), np.float32)}, ["y"], RunHandle())
    return answer


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_the_next_run_gives_memory_back(tmp_path: Path, runtime_log: RuntimeLog) -> None:
    session = open_on([cpu()], models.save(wide(), tmp_path), runtime_log)
    run(session, 2)
    before = resident_bytes()
    run(session, ROWS)
    run(session, 2)
    held = resident_bytes() - before
    assert held > ROWS * 1000 * 4 / 2
    session._shrinks = True  # as after a run without memory
    assert np.allclose(run(session, 2), 1.0)
    assert resident_bytes() - before < held / 4


def test_a_session_without_an_arena_has_nothing_to_give(tmp_path: Path, runtime_log: RuntimeLog) -> None:
    session = open_on([cpu(arena=False)], models.save(wide(), tmp_path), runtime_log)
    assert session._arenas == ""


def test_want_of_memory_is_what_asks_for_it(tmp_path: Path, runtime_log: RuntimeLog, faulty: Faulty) -> None:
    options = faulty.backend.options.model_validate({"command_file": str(faulty.commands.file)})
    path = models.save(models.add_one(), tmp_path)
    session = open_on([OpenRung(faulty.backend, options), cpu()], path, runtime_log)
    feeds = {"x": np.ones((1, 2), np.float32)}
    faulty.commands.say("oom")
    with pytest.raises(OutOfMemory):
        session.run(feeds, ["y"], RunHandle())
    assert session._shrinks
    faulty.commands.say("ok")
    assert session.run(feeds, ["y"], RunHandle())[0].tolist() == [[2.0, 2.0]]
    assert not session._shrinks
