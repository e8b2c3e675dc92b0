"""The file itself: what is written can be read, and what is wrong in it is named."""

import hashlib
from pathlib import Path

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortolan_server.errors import InvalidConfig
from ortolan_server.repository.assignment_lock import (
    AssignmentLock,
    LockedProvider,
    hash_files,
    lock_path,
    lock_text,
    read_lock,
)
from tests import models

HASH = hashlib.sha256(b"").hexdigest()
LOCK = AssignmentLock(
    format=1,
    serving="openvino",
    rung=1,
    chain=("openvino", "cpu"),
    files={"weights.bin": HASH, "model.onnx": HASH},
    versions={"openvino": "2025.4.1", "onnxruntime": "1.24.1"},
    provider=(
        LockedProvider(
            name="openvino",
            rung=1,
            node_share=0.666667,
            fragments=2,
            devices=("cpu Some CPU",),
            options={"device_type": "CPU"},
            nodes={"relu": "Relu", "conv": "Conv"},
        ),
        LockedProvider(
            name="cpu", rung=2, node_share=0.333333, fragments=1, nodes={"hole": "Hole"}, shape_nodes={"s": "Shape"}
        ),
    ),
)
TEXT = f"""\
format = 1
serving = "openvino"
rung = 1
chain = ["openvino", "cpu"]

[files]
"model.onnx" = "{HASH}"
"weights.bin" = "{HASH}"

[versions]
"onnxruntime" = "1.24.1"
"openvino" = "2025.4.1"

[[provider]]
name = "openvino"
rung = 1
node_share = 0.666667
fragments = 2
devices = ["cpu Some CPU"]

[provider.options]
"device_type" = "CPU"

[provider.nodes]
"conv" = "Conv"
"relu" = "Relu"

[[provider]]
name = "cpu"
rung = 2
node_share = 0.333333
fragments = 1
devices = []

[provider.nodes]
"hole" = "Hole"

[provider.shape_nodes]
"s" = "Shape"
"""


def test_the_text_is_sorted_a_line_for_each_node() -> None:
    header, _, body = lock_text(LOCK).partition("\n\n")
    assert all(line.startswith("# ") for line in header.splitlines())
    assert "ortolan lock" in header
    assert body == TEXT


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "assignment.lock"
    path.write_text(lock_text(LOCK), encoding="utf-8")
    assert read_lock(path) == LOCK


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(nodes=st.dictionaries(names, names))
def test_any_name_of_a_node_can_be_written(nodes: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> None:
    provider = LockedProvider(name="cpu", rung=1, node_share=1.0, fragments=1, nodes=nodes)
    lock = AssignmentLock(format=1, serving="cpu", rung=1, chain=("cpu",), files={"m": HASH}, provider=(provider,))
    path = tmp_path_factory.mktemp("lock") / "assignment.lock"
    path.write_bytes(lock_text(lock).encode())
    assert read_lock(path) == lock


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("format = 1", "format = 2", "format: must be 1, not 2"),
        ("rung = 1\nchain", "rung = 2\nchain", "serving: must be the provider at rung 2 of the chain, not 'openvino'"),
        ("rung = 1\nchain", "rung = 3\nchain", "serving: must be the provider at rung 3 of the chain, not 'openvino'"),
        ('chain = ["openvino", "cpu"]\n', "", "chain: is missing"),
        (
            "fragments = 2",
            "fragment = 2",
            "provider[1].fragment: unknown key; did you mean 'fragments'? allowed: devices, fragments, name, ",
        ),
        ('"conv" = "Conv"', '"hole" = "Conv"', "provider: node 'hole' must be named once, and is named twice"),
        ('"conv" = "Conv"', '"conv" = 1', "provider[1].nodes.conv: must be a text in quotes, not 1"),
        (f'"model.onnx" = "{HASH}"', '"model.onnx" = "1"', "files.model.onnx: must match pattern"),
        ('chain = ["openvino", "cpu"]', "chain = []", "chain: must not be empty, not []"),
        ('"conv" = "Conv"', '"conv" = ""', 'provider[1].nodes.conv: must not be empty, not ""'),
        (
            'name = "openvino"\nrung = 1',
            'name = "openvino"\nrung = 2',
            "provider[1].rung: must be that of 'openvino' in the chain, or 0, not 2",
        ),
        ("format = 1", "<<<<<<< HEAD", "is not TOML: "),
        (TEXT, "", "is empty: it has 0 bytes; without the file nothing is compared"),
    ],
)
def test_what_is_wrong_is_named(before: str, after: str, told: str, tmp_path: Path) -> None:
    assert before in TEXT
    path = tmp_path / "assignment.lock"
    path.write_text(TEXT.replace(before, after, 1), encoding="utf-8")
    with pytest.raises(InvalidConfig) as raised:
        read_lock(path)
    assert any(line.startswith(f"{path}: {told}") for line in str(raised.value).splitlines()), raised.value


def test_where_it_lies() -> None:
    assert lock_path(Path("m/1/model.onnx"), "model.onnx") == Path("m/1/assignment.lock")
    assert lock_path(Path("m/1/net.onnx"), "net.onnx") == Path("m/1/assignment.lock")
    assert lock_path(Path("m/1/net.onnx/model.onnx"), "net.onnx") == Path("m/1/net.onnx/assignment.lock")
    assert lock_path(Path("here/net.onnx"), "model.onnx") == Path("here/net.assignment.lock")


def test_all_files_of_a_model_are_hashed(tmp_path: Path) -> None:
    proto = models.affine()
    path = tmp_path / "model.onnx"
    onnx.save(proto, str(path), save_as_external_data=True, location="weights.bin", size_threshold=0)
    loaded = onnx.load(str(path), load_external_data=False)
    assert hash_files(path, loaded) == {
        name: hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("model.onnx", "weights.bin")
    }
