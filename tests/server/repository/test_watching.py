"""What a look at a model's folder sees, and what is done about changes."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from ortolan_server.repository import Repository
from ortolan_server.repository.watching import (
    Changes,
    FileMark,
    Snapshot,
    changed_files,
    decide,
    files_of_version,
    look_at,
)
from tests.server.repository.conftest import Place

OLD, NEW, NEWER = ({"1/model.onnx": FileMark(inode, 10, 1)} for inode in (1, 2, 3))
EMPTY: Snapshot = {}


@pytest.mark.parametrize(
    ("acted", "before", "now", "wanted"),
    [
        pytest.param({"m": OLD}, {"m": OLD}, {"m": OLD}, Changes(), id="nothing happens"),
        pytest.param({}, {}, {"m": NEW}, Changes(restless=("m",)), id="it comes"),
        pytest.param({}, {"m": NEW}, {"m": NEW}, Changes(settled=("m",)), id="it came"),
        pytest.param({}, {"m": NEW}, {"m": NEWER}, Changes(restless=("m",)), id="it comes, slowly"),
        pytest.param({}, {}, {"m": EMPTY}, Changes(), id="a folder without a file comes"),
        pytest.param({}, {"m": EMPTY}, {"m": EMPTY}, Changes(), id="a folder without a file stays"),
        pytest.param({"m": OLD}, {"m": OLD}, {"m": NEW}, Changes(restless=("m",)), id="it changes"),
        pytest.param({"m": OLD}, {"m": NEW}, {"m": NEW}, Changes(settled=("m",)), id="it changed"),
        pytest.param({"m": OLD}, {"m": NEW}, {"m": OLD}, Changes(), id="it changed and changed back"),
        pytest.param({"m": NEW}, {"m": NEW}, {"m": NEW}, Changes(), id="a load failed, and nothing changed"),
        pytest.param({"m": OLD}, {"m": OLD}, {}, Changes(restless=("m",)), id="it goes"),
        pytest.param({"m": OLD}, {}, {}, Changes(gone=("m",)), id="it went"),
        pytest.param({"m": OLD}, {}, {"m": NEW}, Changes(restless=("m",)), id="it went and another comes"),
        pytest.param({"m": OLD}, {}, {"m": OLD}, Changes(), id="it went and came back"),
        pytest.param({"m": OLD}, {"m": EMPTY}, {"m": EMPTY}, Changes(settled=("m",)), id="it was emptied"),
        pytest.param({"m": EMPTY}, {}, {}, Changes(gone=("m",)), id="an empty one went"),
        pytest.param(
            {"a": OLD, "b": OLD, "c": OLD},
            {"a": NEW, "b": OLD, "d": NEW},
            {"a": NEW, "b": OLD, "d": NEWER},
            Changes(settled=("a",), restless=("d",), gone=("c",)),
            id="each for itself",
        ),
    ],
)
def test_a_change_is_acted_on_when_two_looks_saw_the_same(
    acted: Mapping[str, Snapshot], before: Mapping[str, Snapshot], now: Mapping[str, Snapshot], wanted: Changes
) -> None:
    assert decide(acted, before, now) == wanted


def test_a_version_is_its_own_files_and_those_of_the_model() -> None:
    mark = FileMark(1, 1, 1)
    files = dict.fromkeys(["model.toml", "1/model.onnx", "1/weights.bin", "12/model.onnx", "data/1/x.npy", "1"], mark)
    assert sorted(files_of_version(files, 1)) == ["1", "1/model.onnx", "1/weights.bin", "data/1/x.npy", "model.toml"]
    assert sorted(files_of_version(files, 12)) == ["1", "12/model.onnx", "data/1/x.npy", "model.toml"]


def test_which_files_are_others() -> None:
    mark, other = FileMark(1, 1, 1), FileMark(1, 1, 2)
    assert changed_files({"a": mark, "b": mark, "c": mark}, {"b": mark, "c": other, "d": mark}) == ["a", "c", "d"]


def test_a_look_sees_every_file_and_no_hidden_ones(root: Path, place: Place) -> None:
    model = place("m/1/model.onnx")
    place("m/2/model.onnx/model.onnx")
    place("m/.copying/model.onnx")
    place("m/1/.model.onnx.x7Gh2")
    files = look_at(root / "m", root)
    status = model.stat()
    assert files["1/model.onnx"] == FileMark(status.st_ino, status.st_size, status.st_mtime_ns)
    assert sorted(files) == ["1/model.onnx", "2/model.onnx/model.onnx"]


def test_a_file_written_anew_or_moved_into_place_is_another(root: Path, place: Place) -> None:
    model = place("m/1/model.onnx")
    first = look_at(root / "m", root)
    os.utime(model, ns=(0, 0))
    second = look_at(root / "m", root)
    place("m/1/.new").replace(model)
    os.utime(model, ns=(0, 0))
    third = look_at(root / "m", root)
    assert len({files["1/model.onnx"] for files in (first, second, third)}) == 3


def test_what_is_no_plain_file_holds_up_nobody(root: Path, place: Place) -> None:
    place("m/1/model.onnx")
    os.mkfifo(root / "m" / "pipe")
    (root / "m" / "nowhere").symlink_to(root / "gone")
    (root / "m" / "loop").symlink_to("loop")
    assert sorted(look_at(root / "m", root)) == ["1/model.onnx", "loop", "nowhere", "pipe"]


def test_links_in_circles_and_out_of_the_repository_are_not_followed(root: Path, place: Place) -> None:
    place("m/1/model.onnx")
    (root / "m" / "1" / "up").symlink_to(root / "m")
    (root / "m" / "out").symlink_to(root.parent)
    assert sorted(look_at(root / "m", root)) == ["1/model.onnx"]


def test_nothing_is_there(root: Path) -> None:
    assert look_at(root / "m", root) == {}


def test_the_switch_of_a_mount_of_kubernetes_is_a_change(root: Path, place: Place) -> None:
    place("m/..2024_01/model.onnx")
    place("m/..2024_02/model.onnx")
    (root / "m" / "..data").symlink_to("..2024_01")
    (root / "m" / "model.onnx").symlink_to("..data/model.onnx")
    first = look_at(root / "m", root)
    (root / "m" / "..data_tmp").symlink_to("..2024_02")
    (root / "m" / "..data_tmp").replace(root / "m" / "..data")
    assert changed_files(first, look_at(root / "m", root)) == ["model.onnx"]


def test_a_repository_looks_at_each_model(root: Path, place: Place) -> None:
    place("a/1/model.onnx")
    place("b/model.onnx")
    (root / "c").mkdir()
    repository = Repository.scan(root)
    looks = repository.look()
    assert {name: sorted(files) for name, files in looks.items()} == {
        "a": ["1/model.onnx"],
        "b": ["model.onnx"],
        "c": [],
    }
    assert looks["a"] == repository.models["a"].files
    assert repository.names() == ["a", "b", "c"]


@pytest.mark.parametrize("path", ["m", "m/model.onnx"])
def test_one_model_is_looked_at_under_its_own_name(root: Path, place: Place, path: str) -> None:
    place("m/model.onnx")
    repository = Repository.scan(root / path)
    (name,) = repository.models
    assert repository.look() == {name: repository.models[name].files}
    assert repository.names() == [name]
    assert list(repository.look()[name]) == ["model.onnx"]
