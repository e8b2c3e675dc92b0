"""Links inside the served path are followed, and none out of it."""

import os
from pathlib import Path

import pytest

from ortolan_server.repository import ModelEntry, Repository
from ortolan_server.repository.links import link_fault
from tests.server.repository.conftest import Place

LEAVES = "is a link that leaves the served path; copy or mount there what it leads to"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A model's folder beside the repository."""
    (tmp_path / "outside" / "1").mkdir(parents=True)
    (tmp_path / "outside" / "1" / "model.onnx").write_bytes(b"somebody else's")
    (tmp_path / "outside" / "model.toml").write_text("required = false\n")
    return tmp_path / "outside"


def entry(root: Path) -> ModelEntry:
    return Repository.scan(root).models["m"]


def test_a_model_file_that_is_a_link_out_is_refused_and_its_siblings_are_not(
    root: Path, place: Place, outside: Path
) -> None:
    place("m/1/model.onnx")
    (root / "m" / "2").mkdir()
    (root / "m" / "2" / "model.onnx").symlink_to(outside / "1" / "model.onnx")
    found = entry(root)
    assert found.error is None
    assert found.refused == {2: f"{root}/m/2/model.onnx: {LEAVES}"}


def test_a_version_folder_that_is_a_link_out_is_refused(root: Path, outside: Path) -> None:
    (root / "m").mkdir()
    (root / "m" / "1").symlink_to(outside / "1")
    assert entry(root).refused == {1: f"{root}/m/1/model.onnx: {LEAVES}"}


def test_a_model_folder_that_is_a_link_out_is_refused(root: Path, outside: Path) -> None:
    (root / "m").symlink_to(outside)
    found = entry(root)
    assert found.error == f"{root}/m: {LEAVES}"
    assert found.config.required
    assert found.versions == {}
    assert found.files == {}


def test_a_model_toml_that_is_a_link_out_is_refused(root: Path, place: Place, outside: Path) -> None:
    place("m/1/model.onnx")
    (root / "m" / "model.toml").symlink_to(outside / "model.toml")
    found = entry(root)
    assert found.error == f"{root}/m/model.toml: {LEAVES}"
    assert found.config.required


def test_a_lock_that_is_a_link_out_is_refused(root: Path, place: Place, outside: Path) -> None:
    place("m/1/model.onnx")
    (root / "m" / "1" / "assignment.lock").symlink_to(outside / "model.toml")
    assert entry(root).refused == {1: f"{root}/m/1/assignment.lock: {LEAVES}"}


def test_a_chain_of_links_counts_by_its_end(root: Path, place: Place, outside: Path) -> None:
    place("m/1/model.onnx")
    place("m/.kept/model.onnx")
    (root / "m" / "2").mkdir()
    (root / "m" / "3").mkdir()
    (root / "m" / "2" / "model.onnx").symlink_to("../.kept/model.onnx")
    (root / "m" / ".out").symlink_to(outside / "1" / "model.onnx")
    (root / "m" / "3" / "model.onnx").symlink_to("../.out")
    assert list(entry(root).refused) == [3]


def test_links_between_models_stay_inside(root: Path, place: Place) -> None:
    place("original/1/model.onnx")
    (root / "m").symlink_to("original")
    found = entry(root)
    assert (found.error, found.refused, list(found.versions)) == (None, {}, [1])


def test_the_served_path_may_be_a_link_itself(root: Path, place: Place, tmp_path: Path) -> None:
    place("m/1/model.onnx")
    (tmp_path / "current").symlink_to(root)
    assert entry(tmp_path / "current").refused == {}
    (tmp_path / "m.onnx").symlink_to(root / "m" / "1" / "model.onnx")
    assert Repository.scan(tmp_path / "m.onnx").models["m"].error is None


def test_a_hard_link_is_a_file_like_any_other(root: Path, outside: Path) -> None:
    (root / "m").mkdir()
    os.link(outside / "1" / "model.onnx", root / "m" / "model.onnx")
    assert entry(root).refused == {}


def test_a_loop_leads_nowhere_and_is_left_to_who_reads_it(root: Path) -> None:
    (root / "loop").symlink_to("loop")
    assert link_fault(root / "loop", root) is None
    assert link_fault(root / "gone", root) is None
