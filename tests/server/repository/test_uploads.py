"""Files that come with a load: where they may go, and how many are kept."""

import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from ortolan_server.errors import InvalidRequest, Overloaded, ServerStopping
from ortolan_server.repository import ModelToml
from ortolan_server.repository.given import Given
from ortolan_server.repository.names import upload_name_fault
from ortolan_server.repository.uploads import Uploads, check_paths

MODEL = "1/model.onnx"


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files of this process go."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("path", ["model.onnx", MODEL, "1/model.onnx/weights/a b.bin", "labels.txt", "größe/x.npy"])
def test_paths_below_the_models_folder(path: str) -> None:
    check_paths([path])


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("", "is no path"),
        ("1/model\0.onnx", "is no path"),
        ("1/model\n.onnx", "is no path"),
        ("/etc/passwd", "is an absolute path"),
        ("//host/share", "is an absolute path"),
        ("C:/model.onnx", "is an absolute path"),
        ("C:model.onnx", "is an absolute path"),
        ("\\\\host\\share\\x", "is an absolute path"),
        ("1\\model.onnx", "has a backslash"),
        ("..\\model.onnx", "has '..'"),
        ("../model.onnx", "has '..'"),
        ("1/../../model.onnx", "has '..'"),
        ("1/..", "has '..'"),
        (".", "is not in its shortest form"),
        ("./model.onnx", "is not in its shortest form"),
        ("1//model.onnx", "is not in its shortest form"),
        ("1/", "is not in its shortest form"),
        (".ssh/authorized_keys", "has a name that begins with a dot"),
        ("1/.model.onnx", "has a name that begins with a dot"),
        ("1/" + "m" * 256, "is too long: at most 8 names of 255 bytes"),
        ("a/" * 8 + "model.onnx", "is too long: at most 8 names of 255 bytes"),
        ("model.toml", "is not taken as a file: the configuration is the parameter config"),
        ("config.pbtxt", "is not taken as a file: the configuration is the parameter config"),
    ],
)
def test_paths_that_are_refused(path: str, fault: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        check_paths([MODEL, path])
    assert str(raised.value).startswith(f"file {path[:200]!r}: {fault}")


def test_a_file_that_another_one_lies_in() -> None:
    with pytest.raises(InvalidRequest, match="file '1/model.onnx': is the folder of another file too"):
        check_paths([MODEL, "1/model.onnx/model.onnx"])


def test_they_are_a_model_in_a_folder_of_this_user_alone(scratch: Path, model: onnx.ModelProto) -> None:
    upload = Uploads(1 << 20).keep({MODEL: model.SerializeToString(), "labels.txt": b"yes\nno\n"})
    entry = upload.entry("m", Given(ModelToml(required=False)))
    assert (entry.error, list(entry.versions), entry.config.required) == (None, [1], False)
    assert entry.where == "config of the request"
    assert (upload.folder / "labels.txt").read_bytes() == b"yes\nno\n"
    (root,) = scratch.iterdir()
    assert stat.S_IMODE(root.stat().st_mode) == 0o700


def test_what_makes_no_model_is_told_without_a_word_of_the_folder(scratch: Path) -> None:
    upload = Uploads(1 << 20).keep({"1/modell.onnx": b"x"})
    error = upload.entry("m", Given(ModelToml())).error
    assert error == "files of the request: has neither model.onnx nor <version>/model.onnx; found: 1"
    assert scratch.name not in error


def test_nothing_is_written_when_one_path_is_wrong(scratch: Path) -> None:
    with pytest.raises(InvalidRequest):
        Uploads(1 << 20).keep({MODEL: b"x", "../model.onnx": b"x"})
    assert list(scratch.iterdir()) == []


def test_all_that_is_kept_has_a_bound(scratch: Path) -> None:
    uploads = Uploads(10)
    first = uploads.keep({MODEL: b"123456"})
    told = "5 bytes of files, beside 6 of other loads, are more than the 10 that this server keeps .*--max-load-size"
    with pytest.raises(Overloaded, match=told):
        uploads.keep({MODEL: b"12345"})
    first.remove()
    second = uploads.keep({MODEL: b"12345"})
    assert not first.folder.exists()
    assert second.folder.exists()
    uploads.close()
    assert list(scratch.iterdir()) == []
    with pytest.raises(ServerStopping):
        uploads.keep({MODEL: b"1"})
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("broken", ["no room at all", "one name that this disk does not take"])
def test_a_disk_that_does_not_take_them(scratch: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    uploads = Uploads(10)
    if broken == "no room at all":
        monkeypatch.setattr(tempfile, "tempdir", str(scratch / "gone"))
        files = {MODEL: b"1234567890"}
    else:
        files = {"a/" + "ä" * 127: b"12345", "b/c/d": b"12345"}
        refuse: Callable[..., int] = lambda *_arguments: _no_space()  # noqa: E731 - the disk's part
        monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(Overloaded, match="the files of the request cannot be kept: No "):
        uploads.keep(files)
    monkeypatch.undo()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    assert [path for path in scratch.rglob("*") if path.is_file()] == []
    uploads.keep({MODEL: b"1234567890"})  # what was counted is given back


def _no_space() -> int:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("name", ["m", "a b", "größe", "m" * 255])
def test_names_of_models_that_are_sent(name: str) -> None:
    assert upload_name_fault(name) is None


@pytest.mark.parametrize("name", ["", ".", "..", ".m", "a/b", "../m", "m#contract", "m\0", "m\n", "m" * 256, "ä" * 128])
def test_names_that_are_refused(name: str) -> None:
    assert upload_name_fault(name)


def test_files_without_a_size_have_a_bound_too() -> None:
    paths = [f"1/{number}" for number in range(4096)]
    check_paths(paths)
    with pytest.raises(InvalidRequest, match="the request has 4097 files; at most 4096 are taken"):
        check_paths([*paths, MODEL])
