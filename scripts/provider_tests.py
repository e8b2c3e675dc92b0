"""Runs the tests marked `provider`, `wheel` or `plugin` beside another ONNX Runtime wheel: `provider_tests.py WHEEL`.

WHEEL is `openvino` (a truly mixed assignment, on any x86-64 CPU) or `gpu` (on a machine without a GPU: the silent
fallback itself, and every rung of the CUDA and TensorRT ladders, with drivers made for it). With `webgpu` (built in)
and the plugins `ggml` (whole models, or parts of them), `openvino-plugin` (what it compiles is kept; on processors of
Intel) and `plugins` (QNN with Qualcomm's own emulator, and WebGPU) only the tests that need them run, and the contract
of every backend. WebGPU runs on SwiftShader.
"""

import os
import sys

from environments import ROOT, run, wheel_environment
from swiftshader import NoSwiftShaderError, swiftshader_environment

# Which backends' contract is held against them.
CONTRACTS = {"ggml": "ggml", "openvino-plugin": "openvino", "plugins": "qnn or webgpu", "webgpu": "webgpu"}


def main() -> None:
    wheel = sys.argv[1]
    python = wheel_environment(wheel)
    os.environ.pop("PYTEST_ADDOPTS", None)
    if wheel not in CONTRACTS:
        run(python, "-m", "pytest", "--quiet", "-rs", "-m", "provider or wheel")
        return
    if "webgpu" in CONTRACTS[wheel]:
        run(sys.executable, ROOT / "examples" / "prepare.py")
        try:
            os.environ.update(swiftshader_environment())
        except NoSwiftShaderError as error:
            print(error)  # the tests skip, or fail where nothing may be missing
    run(python, "-m", "pytest", "--quiet", "-rs", "-m", "plugin", "tests/providers")
    run(python, "-m", "pytest", "--quiet", "-rs", "-k", CONTRACTS[wheel], "tests/backends/contract")


if __name__ == "__main__":
    main()
