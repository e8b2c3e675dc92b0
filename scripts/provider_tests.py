"""Runs the tests marked `provider`, `wheel` or `plugin` beside another ONNX Runtime wheel: `provider_tests.py WHEEL`.

WHEEL is `openvino` (a truly mixed assignment, on any x86-64 CPU) or `gpu` (on a machine without a GPU: the silent
fallback itself). With the plugins `ggml` (whole models, or parts of them) and `qnn` (Qualcomm's own emulator, and a
provider that is registered and gets no node) only the tests that need them run, and the contract of every backend.
"""

import os
import sys

from environments import run, wheel_environment

PLUGINS = ("ggml", "qnn")


def main() -> None:
    python = wheel_environment(sys.argv[1])
    os.environ.pop("PYTEST_ADDOPTS", None)
    if sys.argv[1] in PLUGINS:
        run(python, "-m", "pytest", "--quiet", "-m", "plugin", "tests/providers")
        run(python, "-m", "pytest", "--quiet", "-k", sys.argv[1], "tests/backends/contract")
    else:
        run(python, "-m", "pytest", "--quiet", "-rs", "-m", "provider or wheel")


if __name__ == "__main__":
    main()
