"""One model's folder."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ortolan_server.repository import ModelToml
from ortolan_server.repository.entry import read_model_folder

Place = Callable[[str], Path]


def test_a_version_that_is_incomplete_is_kept_so_that_it_fails(root: Path, place: Place) -> None:
    place("1/model.onnx")
    (root / "2").mkdir()
    entry = read_model_folder(root, "digits")
    assert entry.error is None
    assert dict(entry.versions) == {1: root / "1/model.onnx", 2: root / "2/model.onnx"}
    assert not entry.versions[2].exists()


def test_folders_that_are_no_versions(root: Path, place: Place) -> None:
    for version in ("1", "0", "01", "v2", "assets", "²", "9" * 19):
        place(f"{version}/model.onnx")
    with capture_logs() as events:
        entry = read_model_folder(root, "digits")
    assert list(entry.versions) == [1]
    # `assets` is an ordinary folder; the others were surely meant as versions.
    assert {Path(event["path"]).name for event in events} == {"0", "01", "v2", "9" * 19}
    assert {event["event"] for event in events} == {"version_folder_ignored"}


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ((), "has neither model.onnx nor <version>/model.onnx; found: nothing"),
        (("1/model.plan",), "has neither .*; found: 1"),
        (("net.onnx", "v1/model.onnx"), "has neither .*; found: net.onnx, v1"),
        (("model.onnx", "1/model.onnx", "2/model.onnx"), r"has both model.onnx and version folders \(1, 2\)"),
    ],
)
def test_a_folder_without_a_model(root: Path, place: Place, files: tuple[str, ...], text: str) -> None:
    for file in files:
        place(file)
    entry = read_model_folder(root, "digits")
    assert entry.error is not None
    assert re.search(text, entry.error)


def test_every_fault_is_told_at_once_and_the_config_is_the_default(root: Path) -> None:
    (root / "model.toml").write_text("required = 1")
    entry = read_model_folder(root, "digits")
    assert entry.error is not None
    assert [line.split(": ")[0] for line in entry.error.splitlines()] == [str(root / "model.toml"), str(root)]
    assert entry.config == ModelToml()
    assert entry.config.required, "a broken file cannot make its model optional"


def test_a_link_to_a_missing_model_toml_is_not_the_same_as_none(root: Path, place: Place) -> None:
    place("model.onnx")
    (root / "model.toml").symlink_to(root / "gone.toml")
    entry = read_model_folder(root, "digits")
    assert "model.toml: is not a file" in (entry.error or "")
