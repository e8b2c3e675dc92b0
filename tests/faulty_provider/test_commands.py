"""Each command, against a session as the server opens it: what fails, and which of our errors it is."""

import gc
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest

from ortolan_backends.contract import Availability
from ortolan_backends.errors import DeviceFailure, OpenRefused, OutOfMemory, RunFailed
from ortolan_backends.runtime.session import RunHandle, Session
from tests import models
from tests.faulty_provider.faulty import PROVIDER, Faulty

OpenFaulty = Callable[[onnx.ModelProto], Session]

NO_MEMORY = "Failed to allocate memory for requested buffer of size 3145728"


def run(session: Session, rows: int = 3) -> list[list[float]]:
    """Of x + 1, with x = 0."""
    (y,) = session.run({"x": np.zeros((rows, 2), np.float32)}, ["y"], RunHandle())
    values: list[list[float]] = y.tolist()
    return values


def owners(session: Session) -> list[str]:
    return [subgraph.ep_name for subgraph in session.assigned_subgraphs()]


@pytest.mark.parametrize(
    ("command", "kind", "text"),
    [
        ("error", RunFailed, "kernel error"),
        ("ep_fail", DeviceFailure, "the provider failed"),
        ("lost", DeviceFailure, "device lost"),
        ("sticky", DeviceFailure, "CUDA failure 719: unspecified launch failure, at cudaStreamSynchronize(stream)"),
        ("oom", OutOfMemory, NO_MEMORY),
        ("oom_above 2", OutOfMemory, NO_MEMORY),
        ("eror", RunFailed, "the faulty provider knows no command 'eror'"),
    ],
)
def test_it_fails_until_it_is_told_otherwise(
    faulty: Faulty, open_faulty: OpenFaulty, command: str, kind: type[RunFailed], text: str
) -> None:
    session = open_faulty(models.add_one())
    assert run(session) == [[1, 1]] * 3
    faulty.commands.say(command)
    for _ in range(2):
        with pytest.raises(RunFailed) as caught:
            run(session)
        assert type(caught.value) is kind
        assert str(caught.value).endswith(text)
    faulty.commands.say("ok")
    assert run(session) == [[1, 1]] * 3
    assert faulty.commands.told() == ["opened", *[f"failed {command.removesuffix(' 2')}"] * 2]


def test_memory_that_suffices_for_few_rows(faulty: Faulty, open_faulty: OpenFaulty) -> None:
    session = open_faulty(models.add_one())
    faulty.commands.say("oom_above 2")
    assert run(session, rows=2) == [[1, 1]] * 2
    with pytest.raises(OutOfMemory):
        run(session, rows=3)


def test_wrong_numbers(faulty: Faulty, open_faulty: OpenFaulty) -> None:
    session = open_faulty(models.add_one())
    faulty.commands.say("wrong -0.5")
    assert run(session) == [[0.5, 0.5]] * 3


def test_slow_computes(faulty: Faulty, open_faulty: OpenFaulty) -> None:
    session = open_faulty(models.add_one())
    faulty.commands.say("slow 50")
    started = time.monotonic()
    assert run(session) == [[1, 1]] * 3
    assert time.monotonic() - started >= 0.05


def test_a_hanging_kernel_holds_only_its_own_thread(faulty: Faulty, open_faulty: OpenFaulty) -> None:
    session = open_faulty(models.add_one())
    faulty.commands.say("hang")
    with ThreadPoolExecutor() as pool:
        pending = pool.submit(run, session)
        faulty.commands.wait_for("hanging")  # this thread goes on
        assert not pending.done()
        faulty.commands.say("wrong 1")
        assert pending.result() == [[2, 2]] * 3


def test_a_hanging_kernel_does_not_hear_that_it_shall_end(faulty: Faulty, open_faulty: OpenFaulty) -> None:
    session, handle = open_faulty(models.add_one()), RunHandle()
    faulty.commands.say("hang")
    with ThreadPoolExecutor() as pool:
        pending = pool.submit(session.run, {"x": np.zeros((3, 2), np.float32)}, ["y"], handle)
        faulty.commands.wait_for("hanging")
        handle.terminate()
        with pytest.raises(TimeoutError):
            pending.result(timeout=0.1)
        faulty.commands.say("ok")
        (y,) = pending.result()  # nor does a run whose last node it was
        assert y.tolist() == [[1, 1]] * 3


def test_an_absent_device_refuses_sessions(faulty: Faulty, open_faulty: OpenFaulty) -> None:
    faulty.commands.say("absent")
    with pytest.raises(OpenRefused, match="no faulty device here") as caught:
        open_faulty(models.add_one())
    assert caught.value.stage == "open"
    faulty.commands.say("ok")
    session = open_faulty(models.add_one())
    faulty.commands.say("absent")
    assert run(session) == [[1, 1]] * 3
    assert faulty.commands.told() == ["refused", "opened"]


def test_skipped_operators_go_to_the_cpu(faulty: Faulty, open_faulty: OpenFaulty) -> None:
    assert owners(open_faulty(models.add_one())) == [PROVIDER]
    faulty.commands.say("skip Relu Add")
    session = open_faulty(models.add_one())
    assert owners(session) == ["CPUExecutionProvider"]
    assert run(session) == [[1, 1]] * 3


def test_it_tells_when_a_session_is_closed(faulty: Faulty, open_faulty: OpenFaulty) -> None:
    sessions = [open_faulty(models.add_one()) for _ in range(2)]
    assert faulty.commands.told() == ["opened", "opened"]
    sessions.clear()
    gc.collect()
    assert faulty.commands.told() == ["opened", "opened", "closed", "closed"]


@pytest.mark.parametrize(
    ("command", "availability"),
    [
        ("", Availability.AVAILABLE),
        ("hang", Availability.AVAILABLE),
        ("error", Availability.AVAILABLE),
        ("absent", Availability.UNAVAILABLE),
        ("lost", Availability.UNAVAILABLE),
        ("sticky", Availability.UNAVAILABLE),
    ],
)
def test_a_probe_sees_whether_the_device_is_there(faulty: Faulty, command: str, availability: Availability) -> None:
    assert faulty.backend.probe().availability is Availability.AVAILABLE
    faulty.commands.say(command)
    assert faulty.backend.probe().availability is availability


def test_an_opening_that_hangs_holds_up_no_other_thread(faulty: Faulty, open_faulty: OpenFaulty) -> None:
    faulty.commands.say("hang_open")
    with ThreadPoolExecutor(1) as aside:
        opened = aside.submit(open_faulty, models.add_one())
        faulty.commands.wait_for("hanging")
        assert not opened.done()
        faulty.commands.say("ok")
        assert run(opened.result()) == [[1, 1]] * 3
