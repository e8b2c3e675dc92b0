"""Virtual environments made on the spot, for checks that must not see the developer's one."""

import json
import subprocess
import sys
from pathlib import Path

__all__ = ["BASE_INSTALL", "ROOT", "WHEELS", "fresh_environment", "installed", "run", "wheel_environment"]

ROOT = Path(__file__).resolve().parents[1]
# The client's three requirements, what they bring, and what every new environment holds.
BASE_INSTALL = {"grpcio", "numpy", "ortolan", "protobuf"} | {"typing_extensions"} | {"pip", "setuptools"}
WHEELS = {
    "openvino": ("--editable", f"{ROOT}[openvino]"),
    "openvino-plugin": ("--editable", f"{ROOT}[cpu]", "onnxruntime-ep-openvino>=1.8"),
    "gpu": ("--editable", f"{ROOT}[gpu]"),
    "webgpu": ("--editable", f"{ROOT}[server]", "onnxruntime-webgpu>=1.27"),
    # Plugins beside the newest plain wheel, and one with the wheel that it accepts.
    "plugins": ("--editable", f"{ROOT}[cpu]", "onnxruntime-qnn>=2.7", "onnxruntime-ep-webgpu>=0.4"),
    "ggml": ("--editable", f"{ROOT}[server]", "onnxruntime-ggml>=0.2"),
}


def fresh_environment(name: str, *requirements: str) -> Path:
    """The interpreter of `.venv-NAME`, made new, with what `pip install` makes of `requirements`."""
    folder = ROOT / f".venv-{name}"
    run(sys.executable, ROOT / "scripts" / "make_venv.py", folder, "--clear")
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *requirements)
    return python


def installed(python: Path) -> set[str]:
    """Names of all packages that the interpreter has, as `pip list` says them."""
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "list", "--format=json"]
    listed = subprocess.run(command, cwd="/", capture_output=True, text=True, check=True).stdout
    return {package["name"] for package in json.loads(listed)}


def wheel_environment(wheel: str) -> Path:
    """The interpreter of `.venv-WHEEL`, which has the server and the tests beside another ONNX Runtime wheel.

    WHEEL is one of WHEELS; `gpu` comes with CUDA's libraries, which are 1.3 GB to download. What an earlier call made
    from the same pyproject.toml and the same requirements is taken as it is.
    """
    python, stamp = ROOT / f".venv-{wheel}" / "bin" / "python", ROOT / f".venv-{wheel}" / "made-from"
    source = "\n".join((*WHEELS[wheel], (ROOT / "pyproject.toml").read_text(encoding="utf-8")))
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != source:
        group = f"{ROOT / 'pyproject.toml'}:test"
        fresh_environment(wheel, *WHEELS[wheel], "--group", group)
        stamp.write_text(source, encoding="utf-8")
    return python


def run(*command: str | Path) -> None:
    """Runs a command in the root of the repository; ends this process if it fails."""
    status = subprocess.run(command, cwd=ROOT, check=False).returncode
    if status != 0:
        sys.exit(f"{' '.join(map(str, command))}\nended with status {status}")
