"""Which paths are repositories, models' folders and models, and what is found there."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ortolan_server.errors import InvalidConfig
from ortolan_server.repository import ModelToml, Repository

Place = Callable[[str], Path]


def found(repository: Repository) -> dict[str, dict[int, str]]:
    """Model → version → path of the model file, below the repository's own path."""
    base = repository.path if repository.path.is_dir() else repository.path.parent
    return {
        name: {number: path.relative_to(base).as_posix() for number, path in entry.versions.items()}
        for name, entry in repository.models.items()
    }


def test_versions_in_folders_and_a_model_without_any(root: Path, place: Place) -> None:
    place("digits/10/model.onnx")
    place("digits/2/model.onnx")
    place("iris/model.onnx")
    repository = Repository.scan(root)
    assert found(repository) == {
        "digits": {2: "digits/2/model.onnx", 10: "digits/10/model.onnx"},
        "iris": {1: "iris/model.onnx"},
    }
    assert list(repository.models["digits"].versions) == [2, 10]
    assert repository.models["iris"].config == ModelToml()
    assert repository.models["iris"].config_path is None
    assert not any(entry.error for entry in repository.models.values())


def test_one_file_is_version_1_under_its_own_name(place: Place) -> None:
    path = place("digits.v2.onnx")
    repository = Repository.scan(path)
    assert found(repository) == {"digits.v2": {1: "digits.v2.onnx"}}
    assert repository.models["digits.v2"].folder == path.parent


@pytest.mark.parametrize("file", ["model.onnx", "1/model.onnx"])
def test_the_folder_of_one_model_is_served_under_its_own_name(root: Path, place: Place, file: str) -> None:
    place(file)
    (root / "model.toml").write_text("required = false")
    repository = Repository.scan(root)
    assert found(repository) == {"models": {1: file}}
    assert repository.models["models"].config.required is False
    assert repository.models["models"].config_path == root / "model.toml"


def test_a_relative_path_has_the_name_of_its_folder(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place("model.onnx").parent)
    assert list(Repository.scan(Path()).models) == ["models"]


def test_a_linked_folder_is_called_as_the_link(root: Path, place: Place) -> None:
    place("digits-2024/1/model.onnx")
    (root.parent / "digits").symlink_to(root / "digits-2024")
    assert list(Repository.scan(root.parent / "digits").models) == ["digits"]


def test_models_called_by_a_number_are_not_taken_for_versions(root: Path, place: Place) -> None:
    place("7/1/model.onnx")
    place("8/2/model.onnx")
    assert found(Repository.scan(root)) == {"7": {1: "7/1/model.onnx"}, "8": {2: "8/2/model.onnx"}}


def test_tritons_layout_loads(root: Path, place: Place) -> None:
    place("simple/1/model.onnx")
    place("big/3/model.onnx/model.onnx")  # Triton's form for a model with external data
    (root / "simple/config.pbtxt").write_text('platform: "onnxruntime_onnx"')
    (root / "simple/labels.txt").write_text("a")
    repository = Repository.scan(root)
    assert found(repository) == {"big": {3: "big/3/model.onnx/model.onnx"}, "simple": {1: "simple/1/model.onnx"}}
    assert repository.models["simple"].config_path == root / "simple/config.pbtxt"


def test_a_mount_of_kubernetes(root: Path, place: Place) -> None:
    """A volume of a ConfigMap or a Secret: every name is a link through `..data` to a hidden folder."""
    place("..2024_01_02/digits/1/model.onnx")
    (root / "..data").symlink_to("..2024_01_02")
    (root / "digits").symlink_to("..data/digits")
    assert found(Repository.scan(root)) == {"digits": {1: "digits/1/model.onnx"}}


def test_what_is_no_model_is_skipped(root: Path, place: Place) -> None:
    place("digits/1/model.onnx")
    place("digits/.ipynb_checkpoints/model.onnx")
    place(".ipynb_checkpoints/1/model.onnx")
    (root / "lost+found").mkdir()
    (root / "README.md").write_text("models")
    assert found(Repository.scan(root)) == {"digits": {1: "digits/1/model.onnx"}}


def test_a_loose_file_beside_models_is_said_to_be_ignored(root: Path, place: Place) -> None:
    place("digits/1/model.onnx")
    place("iris.onnx")
    with capture_logs() as events:
        assert list(Repository.scan(root).models) == ["digits"]
    assert [event["event"] for event in events] == ["model_file_ignored"]
    assert "iris/1/model.onnx" in events[0]["hint"]


def test_a_bad_model_is_listed_and_does_not_hide_the_others(root: Path, place: Place) -> None:
    place("good/1/model.onnx")
    place("broken/1/model.onnx")
    (root / "broken/model.toml").write_text("[limits]\nqueue = 0")
    (root / "empty").mkdir()
    (root / "nowhere").symlink_to(root / "gone")
    (root / "loop").symlink_to(root / "loop")
    models = Repository.scan(root).models
    assert list(models) == ["broken", "empty", "good", "loop", "nowhere"]
    assert models["good"].error is None
    assert {name for name, entry in models.items() if entry.error} == {"broken", "empty", "loop", "nowhere"}
    assert f"{root}/broken/model.toml: limits.queue" in (models["broken"].error or "")


@pytest.mark.parametrize("name", ["a#contract", "a\nb", "a\u2028b", os.fsdecode(b"a\xff")])
def test_a_name_that_cannot_be_is_listed_with_its_error(root: Path, place: Place, name: str) -> None:
    place("good/1/model.onnx")
    place(f"{name}/1/model.onnx")
    models = Repository.scan(root).models
    (bad,) = [entry for entry in models.values() if entry.name != "good"]
    assert "a model's name cannot have" in (bad.error or "")
    # Whatever lists it can print and send it.
    for text in (bad.name, bad.error or ""):
        assert text.encode()
        assert text.isprintable()


@pytest.mark.parametrize(
    ("files", "path", "text"),
    [
        ((), "gone", "does not exist"),
        ((), "", "has no models"),
        (("notes/a.txt",), "", "has no models; .* found: notes"),
        (("net.onnx",), "", "has no models; .* found: net.onnx"),
        (("a.txt",), "a.txt", "is not a .onnx file"),
        (("model.onnx", "digits/1/model.onnx"), "", r"both one model's folder and a repository of models \(digits\)"),
        (("7/model.onnx", "digits/1/model.onnx"), "", r"both one model's folder and a repository of models \(digits\)"),
    ],
)
def test_a_path_that_is_no_place_for_models(
    root: Path, place: Place, files: tuple[str, ...], path: str, text: str
) -> None:
    for file in files:
        place(file)
    with pytest.raises(InvalidConfig, match=text) as raised:
        Repository.scan(root / path)
    assert str(raised.value).startswith(str(root / path))


def test_a_pipe_is_no_model(root: Path) -> None:
    os.mkfifo(root / "model.onnx")
    with pytest.raises(InvalidConfig, match="is not a .onnx file"):
        Repository.scan(root / "model.onnx")


def test_an_empty_folder_may_be_allowed_but_nothing_else(root: Path, place: Place) -> None:
    assert Repository.scan(root, allow_empty=True).models == {}
    place("notes/a.txt")
    with pytest.raises(InvalidConfig, match="has no models"):
        Repository.scan(root, allow_empty=True)


@pytest.fixture
def closed(root: Path, place: Place) -> Iterator[Path]:
    """A model whose folder nobody may read."""
    folder = place("closed/1/model.onnx").parent.parent
    folder.chmod(0)
    if os.access(folder, os.R_OK):
        pytest.skip("this user may read everything")
    yield folder
    root.chmod(0o700)
    folder.chmod(0o700)


def test_a_model_that_cannot_be_read(root: Path, place: Place, closed: Path) -> None:
    place("good/1/model.onnx")
    models = Repository.scan(root).models
    assert models["closed"].error == f"{closed}: cannot be read: Permission denied"
    assert models["good"].error is None


def test_a_repository_that_cannot_be_read(root: Path, closed: Path) -> None:
    root.chmod(0)
    with pytest.raises(InvalidConfig, match=f"{root}: cannot be read: Permission denied"):
        Repository.scan(root)


def test_rescan_finds_what_changed(root: Path, place: Place) -> None:
    place("digits/1/model.onnx")
    repository = Repository.scan(root)
    before = repository.models
    place("digits/2/model.onnx")
    place("iris/model.onnx")
    digits = repository.rescan_model("digits")
    assert digits is not None
    assert list(digits.versions) == [1, 2]
    assert repository.rescan_model("iris") == repository.models["iris"]
    assert list(before) == ["digits"], "a snapshot must not change"
    assert list(before["digits"].versions) == [1]


def test_rescan_forgets_what_is_gone(root: Path, place: Place) -> None:
    place("digits/1/model.onnx")
    place("iris/1/model.onnx")
    repository = Repository.scan(root)
    (root / "iris").rename(root.parent / "iris")
    assert repository.rescan_model("iris") is None
    assert list(repository.models) == ["digits"]


@pytest.mark.parametrize(
    "name", ["..", ".", "", "/", "../outside", "digits/1", "digits/", "\0", ".hidden", "\ud800", "DIGITS"]
)
def test_rescan_takes_no_path_for_a_name(root: Path, place: Place, name: str) -> None:
    place("digits/1/model.onnx")
    place("../outside/1/model.onnx")
    place(".hidden/1/model.onnx")
    repository = Repository.scan(root)
    assert repository.rescan_model(name) is None
    assert list(repository.models) == ["digits"]


@pytest.mark.parametrize("path", ["", "net.onnx"])
def test_rescan_of_a_single_model(root: Path, place: Place, path: str) -> None:
    file = place(path or "1/model.onnx")
    repository = Repository.scan(root / path)
    (name,) = repository.models
    assert repository.rescan_model(name) == repository.models[name]
    assert repository.rescan_model("other") is None
    file.unlink()
    if path:
        assert repository.rescan_model(name) is None
    else:
        entry = repository.rescan_model(name)
        assert entry is not None
        assert "has neither" in (entry.error or "")


def test_a_repository_that_is_gone_is_not_a_missing_model(root: Path, place: Place) -> None:
    place("digits/1/model.onnx")
    repository = Repository.scan(root)
    root.rename(root.parent / "elsewhere")
    with pytest.raises(InvalidConfig, match="cannot be read: No such file"):
        repository.rescan_model("digits")
    assert list(repository.models) == ["digits"]


def test_a_version_of_a_model_with_a_contract_is_not_served_without_it(tmp_path: Path) -> None:
    folder = tmp_path / "resnet"
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "model.onnx").write_bytes(b"")
    assert list(Repository.scan(folder / "1").models) == ["1"]
    (folder / "model.toml").write_text("required = true\n")
    for path in (folder / "1", folder / "1" / "model.onnx"):
        with pytest.raises(InvalidConfig, match=f"resnet/model.toml describes; give {folder}"):
            Repository.scan(path)
