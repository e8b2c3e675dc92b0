"""Every family keeps the contract of backends, and each wheel that has one does what it is for, in its own environment.

The model is MatMul → Relu → [Det], which none of them but the CPU has: two of its nodes can be on the provider. Where
there is no GPU, `gpu` shows its refusal.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from ortolan_backends.catalog import Catalog
from tests import models
from tests.conftest import REQUIRE_TOOLCHAINS

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from environments import wheel_environment  # noqa: E402
from swiftshader import NoSwiftShaderError, swiftshader_environment  # noqa: E402

ON_IT = 2
CHAIN = '[[chain]]\nprovider = "{}"\n{}\n[[chain]]\nprovider = "cpu"\n'


@dataclass(frozen=True)
class Exercise:
    """A family, the environment that has it, its options, and what refuses it where its device is not."""

    backend: str
    wheel: str
    options: str = ""
    refusal: str = ""
    wants_vulkan: bool = False


EXERCISES = (
    Exercise("openvino", "openvino"),
    Exercise("cuda", "gpu", refusal="libcuda.so.1 is missing"),
    Exercise("tensorrt", "gpu", refusal="libnvinfer.so.10 is missing"),
    Exercise("ggml", "ggml", "partial = true\n"),
    Exercise("qnn", "plugins"),
    Exercise("webgpu", "plugins", wants_vulkan=True),
    Exercise("webgpu", "webgpu", wants_vulkan=True),
)


def contract() -> tuple[int, str]:
    """How many tests of the contract passed, and what pytest says of those that did not."""
    command = [sys.executable, "-m", "pytest", "--quiet", "tests/backends/contract"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    passed = re.search(r"(\d+) passed", done.stdout)
    return int(passed[1]) if passed else 0, "" if done.returncode == 0 else done.stdout


def exercise(it: Exercise, folder: Path) -> tuple[bool, str]:
    """Whether it is as it should be, and the evidence."""
    variables = swiftshader_environment() if it.wants_vulkan else {}
    path = models.save(two_and_one(), folder / f"{it.wheel}-{it.backend}", toml=CHAIN.format(it.backend, it.options))
    python = wheel_environment(it.wheel)
    command = [str(python.with_name("ortolan")), "plan", str(path.parents[1]), "--json"]
    done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 3):
        return False, f"ortolan plan ended with status {done.returncode}: {done.stderr[-300:]}"
    plan = json.loads(done.stdout)
    nodes = {share["provider"]: share["nodes"] for share in plan["shares"]}
    if plan["serving_provider"] == it.backend:
        return nodes.get(it.backend) == ON_IT, f"{nodes.get(it.backend, 0)} nodes"
    reason = plan["attempts"][0]["reason"]
    return bool(it.refusal) and it.refusal in reason, f"refused, {it.refusal if it.refusal in reason else reason}"


def two_and_one() -> onnx.ModelProto:
    return models.model(
        [
            helper.make_node("MatMul", ["x", "w"], ["a"], name="matmul"),
            helper.make_node("Relu", ["a"], ["b"], name="relu"),
            helper.make_node("Det", ["b"], ["y"], name="det"),
        ],
        [models.value("x", TensorProto.FLOAT, [2, 2])],
        [models.value("y", TensorProto.FLOAT, [])],
        [models.tensor("w", np.eye(2))],
    )


def main() -> int:
    passed, broken = contract()
    print(broken or f"the contract: {passed} tests passed")
    wrong = bool(broken)
    exercised, left_out, evidence = set(), 0, []
    with tempfile.TemporaryDirectory() as folder:
        for it in EXERCISES:
            try:
                right, found = exercise(it, Path(folder))
            except NoSwiftShaderError as error:
                print(f"--  {it.backend} in .venv-{it.wheel}: left out: {error}")
                left_out += 1
                continue
            print(f"{'ok ' if right else 'BAD'} {it.backend} in .venv-{it.wheel}: {found}")
            exercised.add(it.wheel)
            evidence.append(f"{it.backend} {found}")
            wrong |= not right
    verb = "break" if broken else "keep"
    wheels = f"{len(exercised)} of {len({it.wheel for it in EXERCISES})} wheels exercised"
    families = len(Catalog.from_entry_points().names())
    print(f"{families} families {verb} the contract ({passed} tests); {wheels}: {', '.join(evidence)}")
    return 1 if wrong or (left_out and os.environ.get(REQUIRE_TOOLCHAINS) == "1") else 0


if __name__ == "__main__":
    sys.exit(main())
