"""Runs the tests marked `provider` or `wheel` beside another ONNX Runtime wheel: `python provider_tests.py WHEEL`.

WHEEL is `openvino` (a truly mixed assignment, on any x86-64 CPU) or `gpu` (on a machine without a GPU: the silent
fallback itself).
"""

import os
import sys

from environments import run, wheel_environment


def main() -> None:
    python = wheel_environment(sys.argv[1])
    os.environ.pop("PYTEST_ADDOPTS", None)
    run(python, "-m", "pytest", "--quiet", "-rs", "-m", "provider or wheel")


if __name__ == "__main__":
    main()
