"""One chain whose process hangs, or is killed."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ortolan_server.bench.arrays import write_arrays
from ortolan_server.bench.lane import Lane
from ortolan_server.bench.report import RowState
from ortolan_server.bench.subject import Subject, look_at_subject
from tests import models
from tests.server.bench.benching import children, job

LONG_S = 60.0


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    models.save(models.add_one(), tmp_path / "add_one")
    return look_at_subject(job(tmp_path / "add_one", "cpu", batch_sizes=(1,)))


@pytest.fixture
def lane(tmp_path: Path, subject: Subject) -> Iterator[Lane]:
    """The CPU's, open."""
    inputs = tmp_path / "inputs.npz"
    write_arrays(inputs, subject.arrays.values())
    ((chain, config),) = subject.chains
    lane = Lane(chain, config, tmp_path / "lane", mend_run="")
    lane.open(subject.model.path, inputs, batch_axis=True, timeout_s=LONG_S)
    assert lane.state is None
    yield lane
    lane.kill()


def test_a_process_that_hangs_is_ended(lane: Lane, subject: Subject) -> None:
    (process,) = children()
    os.kill(process, signal.SIGSTOP)
    lane.warm(1, save=True, timeout_s=0.2)
    assert children() == []
    row = lane.row(subject.signature.outputs, lane)
    ending = "did not answer within 0.2 s, and was ended while running batch size 1 for the first time"
    assert (row.state, row.reason) == (RowState.CRASHED, ending)
    assert row.load_s is not None
    assert row.batches == ()


def test_the_memory_killer_is_named(lane: Lane, subject: Subject) -> None:
    lane.warm(1, save=True, timeout_s=LONG_S)
    (process,) = children()
    os.kill(process, signal.SIGKILL)
    lane.measure(1, 0.01)
    row = lane.row(subject.signature.outputs, lane)
    assert row.state is RowState.CRASHED
    assert row.reason.startswith("ended by SIGKILL (perhaps the kernel's memory killer")
    assert row.reason.endswith("while measuring batch size 1")
