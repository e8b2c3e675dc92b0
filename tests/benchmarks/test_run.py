"""Which cases a run has, and what the servers get to serve."""

import json
from pathlib import Path

import numpy as np

from benchmarks.load import parse_report
from benchmarks.models import RECIPES, write_copies, write_repository
from benchmarks.peers.in_process import measure
from benchmarks.peers.sessions import open_sessions
from benchmarks.run import with_needed
from benchmarks.samples import SAMPLES
from benchmarks.timing import FEWEST_ANSWERS
from ortolan_server.repository import load_model_toml


def names(*asked: str) -> list[str]:
    return [case.name for case in with_needed(asked)]


def test_cases_come_in_the_order_of_the_report() -> None:
    assert names("convnet-1", "tiny-1") == ["tiny-1", "convnet-1"]


def test_what_a_case_needs_is_measured_too() -> None:
    assert names("tiny-open-loop") == ["tiny-64", "tiny-open-loop"]
    assert names("tiny-64-h2load") == ["tiny-64", "tiny-64-h2load"]
    assert names("memory") == ["idle-50", "memory"]
    assert names("start-up") == ["idle-50", "start-up"]


def test_every_sample_has_its_recipe() -> None:
    assert {sample.model for samples in SAMPLES.values() for sample in samples} <= RECIPES.keys()


def test_the_tiny_model_answers_rows_apart(tmp_path: Path) -> None:
    write_repository(tmp_path, ["tiny"], threads=1)
    (session,) = open_sessions(tmp_path, 1).values()
    (one,), (many,) = SAMPLES["tiny-1"], SAMPLES["tiny-64"]
    (y,) = session.run(None, dict(many.inputs))
    assert y.shape == (64, 12)
    np.testing.assert_allclose(session.run(None, dict(one.inputs))[0][0], y[0], rtol=1e-4)
    assert not np.allclose(y[0], y[1])


def test_runs_that_outlast_the_window_are_counted(tmp_path: Path) -> None:
    write_repository(tmp_path, ["tiny"], threads=1)
    (session,) = open_sessions(tmp_path, 1).values()
    (one,) = SAMPLES["tiny-1"]
    np.savez(tmp_path / "x.npz", allow_pickle=False, **one.inputs)
    np.savez(tmp_path / "y.npz", y=session.run(None, dict(one.inputs))[0])
    files = {"inputs": [tmp_path / "x.npz"], "right": [tmp_path / "y.npz"]}
    found = parse_report(json.dumps(measure(session, {**files, "warm_up_s": 0.0, "seconds": 0.0})))
    assert found.flows[0].measured == FEWEST_ANSWERS
    assert found.why_void() is None


def test_copies_are_models_of_their_own(tmp_path: Path) -> None:
    write_copies(tmp_path, "identity", 3, threads=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["identity", "identity_1", "identity_2"]
    assert load_model_toml(tmp_path / "identity_2" / "model.toml").chain[0].options == {"threads": 2}
