"""Loads of what a client sent: all of it, or nothing has changed."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from ortolan_server.errors import LoadFailed, ModelNotFound
from ortolan_server.lifecycle.manager import ModelManager
from ortolan_server.lifecycle.states import State
from ortolan_server.repository.given import Given, read_given
from ortolan_server.repository.uploads import Upload, Uploads
from tests import models
from tests.server.conftest import Manage
from tests.server.lifecycle.calls import Heard, add_one

DEFAULT = read_given("", "m")
ALL = read_given("[versions]\nall = true\n", "m")
GOOD = models.add_one().SerializeToString()


@pytest.fixture
def manager(manage: Manage, tmp_path: Path) -> ModelManager:
    models.save(models.add_one(), tmp_path / "models" / "m", toml="[limits]\nqueue = 3\n")
    return manage(tmp_path / "models", initial=["m"])


@pytest.fixture
def uploads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Uploads:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return Uploads(1 << 20)


def sent(uploads: Uploads, **contents: bytes) -> Upload:
    """`v1=…` is the model of version 1."""
    return uploads.keep({f"{version[1:]}/model.onnx": content for version, content in contents.items()})


def add_two() -> bytes:
    proto = models.add_one()
    proto.graph.initializer[0].CopyFrom(models.tensor("one", [2.0]))
    return proto.SerializeToString()


def test_another_configuration_holds_until_the_next_load(manager: ModelManager) -> None:
    before = manager.find("m", "")
    manager.load_given("m", read_given("[limits]\nqueue = 9\n", "m"))
    assert manager.find("m", "").config.limits.queue == 9
    assert before.state is State.UNLOADED
    manager.load("m")
    assert manager.find("m", "").config.limits.queue == 3


def test_a_configuration_that_cannot_be_loaded_changes_nothing(manager: ModelManager) -> None:
    before, heard = manager.find("m", ""), Heard(manager)
    with pytest.raises(LoadFailed, match="model 'm': version 1: .*absent"):
        manager.load_given("m", read_given('[[chain]]\nprovider = "absent"\n', "m"))
    with pytest.raises(LoadFailed, match=r"config of the request: chain\[1\]: cpu: it has no option wings"):
        manager.load_given("m", read_given('[[chain]]\nprovider = "cpu"\nwings = 2\n', "m"))
    with pytest.raises(LoadFailed, match=r"model 'm': config of the request: versions.specific: 7 not on disk"):
        manager.load_given("m", read_given("[versions]\nspecific = [7]\n", "m"))
    with pytest.raises(LoadFailed, match=r"model 'm': .* has neither other.onnx nor <version>/other.onnx"):
        manager.load_given("m", read_given('file = "other.onnx"', "m"))
    assert manager.find("m", "") is before
    assert manager.model("m").entry.config.limits.queue == 3
    assert manager.model("m").entry.error is None
    assert before.reason.startswith("it serves on; its reload was refused: ")
    assert set(heard.all) == {"m/1 READY"}


def test_a_model_that_is_not_there(manager: ModelManager) -> None:
    with pytest.raises(ModelNotFound, match="no model 'n' in the repository"):
        manager.load_given("n", DEFAULT)
    assert [model.entry.name for model in manager.models] == ["m"]


def test_files_take_the_place_of_the_repositorys(manager: ModelManager, uploads: Uploads) -> None:
    upload = sent(uploads, v3=add_two())
    heard = Heard(manager)
    manager.load_given("m", DEFAULT, upload)
    assert list(manager.model("m").versions) == [3]
    assert add_one(manager.find("m", ""), 1.0) == 3.0
    assert heard.all == ["m/3 READY", "m/1 DRAINING", "m/1 UNLOADED"]
    manager.load("m")
    assert add_one(manager.find("m", ""), 1.0) == 2.0
    assert not upload.folder.exists()


def test_a_model_of_files_alone(manager: ModelManager, uploads: Uploads) -> None:
    upload = sent(uploads, v1=GOOD)
    manager.load_given("n", DEFAULT, upload)
    assert add_one(manager.find("n", ""), 1.0) == 2.0
    with pytest.raises(ModelNotFound, match="no model 'n' in the repository"):
        manager.load("n")
    assert manager.find("n", "").serves
    manager.unload("n")
    assert not upload.folder.exists()


def test_newer_files_replace_older_ones(manager: ModelManager, uploads: Uploads) -> None:
    first, second = sent(uploads, v1=GOOD), sent(uploads, v1=add_two())
    manager.load_given("n", DEFAULT, first)
    manager.load_given("n", DEFAULT, second)
    assert add_one(manager.find("n", ""), 1.0) == 3.0
    assert (first.folder.exists(), second.folder.exists()) == (False, True)


def test_all_versions_or_none(manager: ModelManager, uploads: Uploads) -> None:
    first = sent(uploads, v1=GOOD, v2=GOOD)
    manager.load_given("n", ALL, first)
    before, heard = manager.versions, Heard(manager)
    second = sent(uploads, v1=add_two(), v2=b"no model", v3=add_two())
    with pytest.raises(LoadFailed, match="model 'n': version 2: model.onnx is not a readable ONNX model"):
        manager.load_given("n", ALL, second)
    assert manager.versions == before
    assert all(version.serves for version in before)
    assert set(heard.all) == {"n/1 READY", "n/2 READY"}
    assert (first.folder.exists(), second.folder.exists()) == (True, False)
    manager.load_given("n", ALL, sent(uploads, v1=add_two(), v2=add_two(), v3=add_two()))
    assert [add_one(manager.find("n", str(number)), 1.0) for number in (1, 2, 3)] == [3.0, 3.0, 3.0]


def test_a_new_model_that_fails_leaves_no_trace(manager: ModelManager, uploads: Uploads) -> None:
    upload = sent(uploads, v1=b"no model")
    with pytest.raises(LoadFailed):
        manager.load_given("n", DEFAULT, upload)
    assert [model.entry.name for model in manager.models] == ["m"]
    assert manager.ready
    assert not upload.folder.exists()


def test_a_failed_load_from_disk_keeps_the_files_that_serve(
    manager: ModelManager, uploads: Uploads, tmp_path: Path
) -> None:
    upload = sent(uploads, v1=add_two())
    manager.load_given("m", DEFAULT, upload)
    (tmp_path / "models" / "m" / "1" / "model.onnx").write_text("no model")
    with pytest.raises(LoadFailed):
        manager.load("m")
    assert add_one(manager.find("m", ""), 1.0) == 3.0
    assert upload.folder.exists()


def test_files_with_external_data(manager: ModelManager, uploads: Uploads) -> None:
    proto = models.add_one()
    one = proto.graph.initializer[0]
    data = np.array([5.0], np.float32).tobytes()
    one.ClearField("raw_data")
    one.data_location = TensorProto.EXTERNAL
    one.external_data.add(key="location", value="weights.bin")
    one.external_data.add(key="length", value=str(len(data)))
    files = {"1/model.onnx": proto.SerializeToString(), "1/weights.bin": data}
    manager.load_given("n", DEFAULT, uploads.keep(files))
    assert add_one(manager.find("n", ""), 1.0) == 6.0
    del files["1/weights.bin"]
    with pytest.raises(LoadFailed, match=r"'weights.bin' cannot be read: No such file"):
        manager.load_given("n", DEFAULT, uploads.keep(files))


def test_a_single_file_takes_a_configuration_too(manage: Manage, tmp_path: Path) -> None:
    (tmp_path / "one.onnx").write_bytes(GOOD)
    manager = manage(tmp_path / "one.onnx", initial=["one"])
    manager.load_given("one", Given(read_given("[limits]\nqueue = 9\n", "one").config))
    assert manager.find("one", "").config.limits.queue == 9
