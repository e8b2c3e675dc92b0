"""The cache, on OpenVINO's plugin: a second load leaves every file as it is, is faster, and is told as a hit; of two
processes that load at once one builds.

Each load is a process of its own. What is claimed is held against the provider: the files that it wrote (inode, time of
change), and the time that its own log has for compiling. The plugin takes Intel's processors: elsewhere there is
nothing to show, and the figure says so.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ortolan.v1 import findings_pb2 as pb
from ortolan_client import Client
from tests.serving import running_server

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from environments import wheel_environment  # noqa: E402

MODEL = ROOT / "examples" / "models" / "ppocr_rec" / "1" / "model.onnx"
CHAIN = '[[chain]]\nprovider = "openvino"\n[[chain]]\nprovider = "cpu"\n'
NOTHING_HERE = 77  # of engine_cache_figures


def main() -> int:
    python = wheel_environment("openvino-plugin")
    command = [str(python), "-m", "tests.providers.engine_cache_figures", str(MODEL)]
    measured = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    print(measured.stdout, end="")
    if measured.returncode:
        return 0 if measured.returncode == NOTHING_HERE else 1
    with tempfile.TemporaryDirectory() as folder:
        told = [told_by_a_server(python, Path(folder)) for _ in range(2)]
    figure = measured.stdout.splitlines()[-1]
    print(f"{figure}; two servers, one after the other, tell {' and '.join(told)}")
    return 0 if told == ["MISS", "HIT"] else 1


def told_by_a_server(python: Path, folder: Path) -> str:
    """What the reflection RPC says of the load of a server with its cache in `folder`."""
    model = folder / "models" / "ppocr_rec"
    (model / "1").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(MODEL, model / "1" / "model.onnx")
    (model / "model.toml").write_text(CHAIN)
    with (
        running_server(model.parent, "--cache-dir", str(folder / "cache"), python=python) as server,
        Client(server.address) as client,
    ):
        attempt = client.assignment("ppocr_rec").attempts[0]
    return pb.CacheUse.Result.Name(attempt.cache.result)


if __name__ == "__main__":
    sys.exit(main())
