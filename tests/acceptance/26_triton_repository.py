"""A repository of Triton's as it is: what is served, what is refused and why, and that no setting is lost on the way.

Tritonclient asks every model that is served; the server on the imported model.toml files must answer the same.
"""

import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from numpy.typing import NDArray

from ortolan_client import Client
from ortolan_server.repository import Repository
from ortolan_server.repository.triton import Outcome
from tests.serving import ENTRY, RunningServer, running_server
from tests.triton_repository import EXAMPLES, RECORDED, write_repository

A = np.arange(32, dtype=np.int32).reshape(2, 16)
TEXTS = np.array([["a", "ü"], ["", "d"]], object)
IMAGE = np.ones((3, 224, 224), np.float32)
ROW = np.array([[1, 2, 3]], np.float32)
WANTED: dict[str, tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]] = {
    "simple": ({"INPUT0": A, "INPUT1": A + 1}, {"OUTPUT0": A + A + 1, "OUTPUT1": np.full_like(A, -1)}),
    "simple_string": ({"INPUT0": TEXTS}, {"OUTPUT0": TEXTS}),
    "simple_identity": ({"INPUT0": ROW}, {"OUTPUT0": ROW}),
    "densenet_onnx": ({"data_0": IMAGE}, {"fc6_1": np.arange(1000, dtype=np.float32) + 1}),
    "warm": ({"INPUT0": A, "INPUT1": A}, {"OUTPUT0": A + A, "OUTPUT1": np.zeros_like(A)}),
}
DATATYPES = {"i": "INT32", "f": "FP32", "O": "BYTES"}


def main() -> int:
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "repository"
        write_repository(root)
        faults = serve(root, "as it is")
        settings = [note for entry in Repository.scan(root).models.values() for note in entry.notes]
        faults += import_all(root)
        faults += serve(root, "imported")
    counts = Counter(note.outcome for note in settings)
    refused = sum(bool(example.refused) for example in EXAMPLES.values())
    for fault in faults:
        print(f"FAULT {fault}")
    print(
        f"{len(EXAMPLES)} models: {len(WANTED)} served, {refused} refused with reasons; "
        f"{counts[Outcome.HONOURED]} settings honoured, {counts[Outcome.TRANSLATED]} translated, "
        f"{counts[Outcome.NOT_HONOURED]} named as not honoured; tritonclient answers "
        f"{'equal' if not faults else f'with {len(faults)} faults'} before and after ortolan import triton"
    )
    return 1 if faults or len(WANTED) + refused != len(EXAMPLES) else 0


def serve(root: Path, how: str) -> list[str]:
    """Faults of one server: a model that is in another state than wanted, or that answers otherwise."""
    faults = []
    with running_server(root) as server, triton.InferenceServerClient(server.address) as client:
        index = {model.name: model for model in client.get_model_repository_index().models}
        for name, example in EXAMPLES.items():
            found = index[name]
            print(f"{how}: {name}: {found.state} {found.reason}")
            if example.refused:
                faults += [] if example.refused in found.reason else [f"{how}: {name}: is not refused as wanted"]
            elif found.state != "READY":
                faults.append(f"{how}: {name}: {found.state}: {found.reason}")
            else:
                faults += ask(client, name, how)
        if how == "as it is":
            faults += unnamed(server, root)
        server.stop()
    return faults


def ask(client: Any, name: str, how: str) -> list[str]:
    given, wanted = WANTED[name]
    inputs = []
    for tensor, array in given.items():
        inputs.append(triton.InferInput(tensor, list(array.shape), DATATYPES[array.dtype.kind]))
        inputs[-1].set_data_from_numpy(array)
    answer = client.infer(name, inputs)
    came = {tensor: answer.as_numpy(tensor) for tensor in wanted}
    came = {
        tensor: np.vectorize(bytes.decode, otypes=[object])(array) if array.dtype == object else array
        for tensor, array in came.items()
    }
    return [f"{how}: {name}: {tensor} differs" for tensor in wanted if not np.array_equal(came[tensor], wanted[tensor])]


def unnamed(server: RunningServer, root: Path) -> list[str]:
    """Settings that are not honoured, and that the log or the verdict of a served model does not name."""
    faults = []
    with Client(server.address) as client:
        for name in WANTED:
            entry = Repository.scan(root).models[name]
            warnings = client.assignment(name).verdict.warnings
            faults += [f"{name}: no warning: {text}" for text in entry.warnings if text not in warnings]
            for note in entry.not_honoured:
                server.wait_for("triton_setting_not_honoured", model=name, key=note.key)
                print(f"not honoured: {name}: {note}")
    return faults


def import_all(root: Path) -> list[str]:
    """Each model that Triton's configuration allows gets a model.toml, equal to what was served without."""
    before = Repository.scan(root).models
    done = subprocess.run(
        [sys.executable, "-c", ENTRY, "import", "triton", str(root)], capture_output=True, text=True, check=False
    )
    print(done.stdout, done.stderr)
    faults = [] if done.returncode == 1 else [f"import: exit status {done.returncode}, with models that are refused"]
    after = Repository.scan(root).models
    for name, entry in before.items():
        if entry.error:
            faults += (
                [f"import: {name}: was refused, and has a model.toml"] if (entry.folder / "model.toml").exists() else []
            )
        elif after[name].config_path != entry.folder / "model.toml":
            faults.append(f"import: {name}: has no model.toml")
        elif after[name].config.model_copy(update={"warmup": entry.config.warmup}) != entry.config:
            faults.append(f"import: {name}: is not equal")
    recorded = np.load(root / "warm/warmup/recorded-1.npy")
    return faults + ([] if np.array_equal(recorded, [RECORDED] * 2) else ["import: warm: another recording"])


if __name__ == "__main__":
    sys.exit(main())
