"""Runs the tests marked `provider` or `wheel` beside another ONNX Runtime wheel: `python provider_tests.py WHEEL`.

WHEEL is `openvino` (a truly mixed assignment, on any x86-64 CPU) or `gpu` (on a machine without a GPU: the silent
fallback itself; the CUDA libraries of the `[gpu]` extra, over a gigabyte, stay away on purpose).
"""

import os
import sys

from environments import ROOT, fresh_environment, run

SERVER = f"{ROOT}[server]"
REQUIREMENTS = {
    "openvino": ("--editable", f"{ROOT}[openvino]"),
    "gpu": ("--editable", SERVER, "onnxruntime-gpu>=1.31"),
}


def main() -> None:
    wheel = sys.argv[1]
    python = fresh_environment(wheel, *REQUIREMENTS[wheel], "--group", f"{ROOT / 'pyproject.toml'}:test")
    os.environ.pop("PYTEST_ADDOPTS", None)
    run(python, "-m", "pytest", "--quiet", "-rs", "-m", "provider or wheel")


if __name__ == "__main__":
    main()
