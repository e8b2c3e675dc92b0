"""Models that are broken or meant to do harm, as they may lie in a repository, and why each must be refused."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from tests import models

__all__ = ["HOSTILE", "Hostile", "write_outside"]

GOOD = models.add_one().SerializeToString()
FLOATS = 1024


@dataclass(frozen=True, slots=True)
class Hostile:
    """`make` writes the model into its folder, which is not there yet; `outside` is a folder beside the repository."""

    name: str
    make: Callable[[Path, Path], object]
    reason: str
    """A regular expression that what is said of it must match somewhere."""


def write_outside(outside: Path) -> None:
    """What nobody may get at through the repository."""
    models.save(models.add_one(), outside / "model")
    (outside / "secret.bin").write_bytes(np.ones(FLOATS, np.float32).tobytes())


def _bytes(content: bytes) -> Callable[[Path, Path], object]:
    return lambda folder, _outside: _file(folder).write_bytes(content)


def _file(folder: Path) -> Path:
    path = folder / "1" / "model.onnx"
    path.parent.mkdir(parents=True)
    return path


def _proto(change: Callable[[onnx.ModelProto], None]) -> Callable[[Path, Path], object]:
    proto = models.add_one()
    change(proto)
    return _bytes(proto.SerializeToString())


def _ir(proto: onnx.ModelProto) -> None:
    proto.ir_version = 99


def _opset(proto: onnx.ModelProto) -> None:
    proto.opset_import[0].version = 99


def _operator(proto: onnx.ModelProto) -> None:
    proto.graph.node[0].op_type = "Adx"


def _external(location: str, place: Callable[[Path, Path], object]) -> Callable[[Path, Path], object]:
    """A model whose weights are said to be at `location`; `place` is given the version's folder."""

    def make(folder: Path, outside: Path) -> None:
        proto = models.add_one()
        one = proto.graph.initializer[0]
        one.ClearField("raw_data")
        one.dims[:] = [FLOATS // 2, 2]
        one.data_location = onnx.TensorProto.EXTERNAL
        one.external_data.add(key="location", value=location)
        one.external_data.add(key="length", value=str(FLOATS * 4))
        path = _file(folder)
        place(path.parent, outside)
        path.write_bytes(proto.SerializeToString())

    return make


def _half(folder: Path, _outside: Path) -> None:
    (folder / "weights.bin").write_bytes(bytes(FLOATS * 2))


def _sparse(folder: Path, _outside: Path) -> None:
    with _file(folder).open("wb") as file:
        file.truncate(3 * 2**30)


def _no_toml(folder: Path, _outside: Path) -> None:
    models.save(models.add_one(), folder)
    (folder / "model.toml").touch()


_DATA = "external data of tensor 'one': "
_LEAVES = "is a link that leaves the served path"

HOSTILE = (
    Hostile("random_bytes", _bytes(np.random.default_rng(1).bytes(4096)), "is not a readable ONNX model"),
    Hostile("cut_short", _bytes(GOOD[:-1]), "is not a readable ONNX model"),
    Hostile("bytes_flipped", _bytes(bytes(byte ^ 0x40 for byte in GOOD)), "is not a readable ONNX model"),
    Hostile("unknown_operator", _proto(_operator), "Adx"),
    Hostile("no_bytes", _bytes(b""), "model.onnx is empty: it has 0 bytes"),
    Hostile("no_bytes_of_toml", _no_toml, "model.toml: is empty: it has 0 bytes"),
    Hostile("newer_ir", _proto(_ir), r"the model is of IR version 99; this ONNX Runtime \S+ reads those up to \d+"),
    Hostile("newer_opset", _proto(_opset), r"is of opset 99 of ai.onnx; this ONNX Runtime \S+ reads those up to \d+"),
    Hostile(
        "data_cut_short", _external("weights.bin", _half), _DATA + "'weights.bin' has 2048 bytes, and the tensor is"
    ),
    Hostile(
        "data_missing",
        _external("weights.bin", lambda *_folders: None),
        _DATA + "'weights.bin' cannot be read: No such",
    ),
    Hostile("data_above", _external("../../../outside/secret.bin", lambda *_folders: None), _DATA + r".* has '\.\.'"),
    Hostile("data_absolute", _external("/etc/hostname", lambda *_folders: None), _DATA + ".* is an absolute path"),
    Hostile(
        "data_linked",
        _external("w", lambda folder, outside: (folder / "w").symlink_to(outside / "secret.bin")),
        _DATA + "'w' is a link that leaves the model's folder",
    ),
    Hostile(
        "data_linked_hard",
        _external("w", lambda folder, outside: os.link(outside / "secret.bin", folder / "w")),
        _DATA + "'w' has hard links, of which one may lie outside",
    ),
    Hostile(
        "model_linked",
        lambda folder, outside: _file(folder).symlink_to(outside / "model" / "1" / "model.onnx"),
        "model_linked/1/model.onnx: " + _LEAVES,
    ),
    Hostile("folder_linked", lambda folder, outside: folder.symlink_to(outside / "model"), "folder_linked: " + _LEAVES),
    Hostile("pipe", lambda folder, _outside: os.mkfifo(_file(folder)), "model.onnx is not a plain file"),
    Hostile(
        "device", lambda folder, _outside: _file(folder).symlink_to("/dev/zero"), "device/1/model.onnx: " + _LEAVES
    ),
    Hostile("huge", _sparse, "model.onnx has 3221225472 bytes; a model has at most 2147483647"),
)
