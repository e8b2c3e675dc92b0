"""What makes a key, and what is told of one that has changed."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from ortolan_server.cache.key import Digests, KeyParts, changes

PARTS = KeyParts("openvino", "m", {"openvino": "2025.3", "driver": "580"}, ("a GPU",), {"precision": "FP16"})


def test_equal_parts_have_one_key_in_whatever_order() -> None:
    again = replace(PARTS, versions={"driver": "580", "openvino": "2025.3"})
    assert again.key == PARTS.key
    assert len(PARTS.key) == 32
    assert set(PARTS.key) <= set("0123456789abcdef")


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (replace(PARTS, model="n"), ("the model's bytes",)),
        (replace(PARTS, versions={"openvino": "2025.4", "driver": "580"}), ("openvino 2025.3 -> 2025.4",)),
        (replace(PARTS, versions={"openvino": "2025.3"}), ("driver 580 -> none",)),
        (replace(PARTS, devices=("another", "a third")), ("device a GPU -> another, a third",)),
        (replace(PARTS, options={}), ("option precision FP16 -> none",)),
        (
            replace(PARTS, model="n", options={"precision": "FP32", "threads": "2"}),
            ("the model's bytes", "option precision FP16 -> FP32", "option threads none -> 2"),
        ),
    ],
)
def test_each_part_makes_another_key_and_is_named(now: KeyParts, told: tuple[str, ...]) -> None:
    assert now.key != PARTS.key
    assert changes(PARTS, now) == told


def test_a_model_is_its_bytes_and_those_of_its_weights(tmp_path: Path) -> None:
    model, weights = tmp_path / "model.onnx", tmp_path / "weights.bin"
    model.write_bytes(b"model")
    weights.write_bytes(b"weights")
    digests = Digests()
    alone, whole = digests.of_model(str(model), ()), digests.of_model(str(model), (weights,))
    assert alone != whole
    assert digests.of_model(b"model", ()) == alone, "a model that is opened from memory is the same model"
    weights.write_bytes(b"others!")
    os.utime(weights, (1, 1))  # the clock of a file system may tick every few milliseconds only
    assert digests.of_model(str(model), (weights,)) != whole


def test_a_file_that_stayed_is_not_read_again(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"before")
    digests = Digests()
    before, status = digests.of_model(str(model), ()), model.stat()
    model.write_bytes(b"behind")
    os.utime(model, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert digests.of_model(str(model), ()) == before
    os.utime(model, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert digests.of_model(str(model), ()) != before
