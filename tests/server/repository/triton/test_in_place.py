"""A config.pbtxt that is read where it lies."""

from collections.abc import Callable
from pathlib import Path

from structlog.testing import capture_logs

from ortolan_server.repository import ModelToml
from ortolan_server.repository.entry import read_model_folder

Place = Callable[[str], Path]


def test_it_stands_for_a_model_toml(root: Path, place: Place) -> None:
    place("1/net.onnx")
    (root / "config.pbtxt").write_text("""
        name: "models" default_model_filename: "net.onnx" max_batch_size: 4 dynamic_batching {}
        instance_group { kind: KIND_CPU } response_cache { enable: true }
    """)
    entry = read_model_folder(root, "models")
    assert entry.error is None
    assert entry.config_path == root / "config.pbtxt"
    assert dict(entry.versions) == {1: root / "1/net.onnx"}
    assert entry.config.batching is not None
    assert entry.config.batching.max_size == 4
    assert entry.warnings == ("not honoured of config.pbtxt: response_cache.enable = true: nothing here does this",)


def test_a_model_toml_goes_before_it(root: Path, place: Place) -> None:
    place("1/model.onnx")
    (root / "config.pbtxt").write_text("what is this")
    (root / "model.toml").write_text("required = false")
    with capture_logs() as events:
        entry = read_model_folder(root, "models")
    assert (entry.error, entry.notes, entry.config_path) == (None, (), root / "model.toml")
    assert not entry.config.required
    assert [(event["event"], event["instead"]) for event in events] == [
        ("triton_config_not_read", str(root / "model.toml"))
    ]


def test_one_that_cannot_be_served_says_why(root: Path, place: Place) -> None:
    place("1/model.onnx")
    path = root / "config.pbtxt"
    for text, reason in (
        ('platform: "tensorrt_plan"', f"{path}: platform: is 'tensorrt_plan'"),
        ("max_batch_size: [", f"{path}:1:17: is not protobuf text"),
    ):
        path.write_text(text)
        entry = read_model_folder(root, "models")
        assert (entry.error or "").startswith(reason)
        assert entry.config == ModelToml()
        assert entry.config_path == path


def test_the_file_of_a_model_toml(root: Path, place: Place) -> None:
    (root / "model.toml").write_text('file = "net.onnx"')
    assert "has neither net.onnx nor <version>/net.onnx" in (read_model_folder(root, "models").error or "")
    place("2/net.onnx")
    assert dict(read_model_folder(root, "models").versions) == {2: root / "2/net.onnx"}
