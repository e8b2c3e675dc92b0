"""The Dockerfile, without an engine: linted, its steps run one by one, and what they make run as a container.

`PYTHONPATH=. python tests/acceptance/12_image_steps.py [TARGET] [NAME=VALUE …]`: a target of the Dockerfile and build
arguments. The target `gpu` loads over a gigabyte, and needs a base that debootstrap can make:
`gpu GPU_BASE=debian:trixie-slim`.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.image import dockerfile
from tests.image.build import Builder, Image, StepFailed, size_mb
from tests.image.checks import check_container, check_files
from tests.image.context import Context
from tests.image.roots import debian, own_namespace, why_not
from tests.image.running import leave_the_network

ROOT = Path(__file__).resolve().parents[2]
SCRATCH = ROOT / ".image"
BASES = {"debian:trixie-slim": "trixie"}


def main() -> int:
    if reason := why_not():
        print(f"image: not checked here: {reason}")
        return 1 if os.environ.get("ORTOLAN_REQUIRE_TOOLCHAINS") == "1" else 0
    own_namespace([sys.executable, *sys.argv])
    target = next((word for word in sys.argv[1:] if "=" not in word), "cpu")
    build_args = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
    clean = lint()
    stages, shared = dockerfile.parse((ROOT / "Dockerfile").read_text(encoding="utf-8"), build_args)
    wanted = dockerfile.needed_stages(stages, target)
    steps = sum(1 + len(stage.instructions) for stage in wanted)
    try:
        image = build(wanted, shared, build_args)
    except (StepFailed, dockerfile.DockerfileError, OSError) as error:
        print(error)
        print(f"image: the steps of the {target} target FAILED")
        return 1
    leave_the_network()
    with tempfile.TemporaryDirectory() as scratch:
        outcomes = [*check_files(image, ROOT, build_args.get("EXTRA", target)), *check_container(image, Path(scratch))]
    for outcome in outcomes:
        print(f"{'ok ' if not outcome.fault else 'BAD'} {outcome.what}{': ' if outcome.fault else ''}{outcome.fault}")
    good = sum(not outcome.fault for outcome in outcomes)
    linted = "linted clean" if clean else "NOT linted clean"
    sizes = f"{size_mb(image.root)} MB, {size_mb(image.layer)} of them above the base"
    print(
        f"image: {steps} of {steps} instructions of the {target} target run, {linted},"
        f" {good} of {len(outcomes)} checks of the image and its container, {sizes}"
    )
    return 0 if clean and good == len(outcomes) else 1


def lint() -> bool:
    hadolint = Path(sys.executable).with_name("hadolint")
    return subprocess.run([hadolint, "--no-color", "Dockerfile"], cwd=ROOT, check=False).returncode == 0


def build(stages: list[dockerfile.Stage], shared: dict[str, str], build_args: dict[str, str]) -> Image:
    """Runs the stages, the target last, and tells of each how long it took."""
    builder = Builder(Context(ROOT), SCRATCH, base)
    shutil.rmtree(SCRATCH / "stages", ignore_errors=True)
    for stage in stages:
        started_s = time.monotonic()
        image = builder.build(stage, shared, build_args)
        count = 1 + len(stage.instructions)
        print(f"stage {stage.name}: {count} instructions in {time.monotonic() - started_s:.1f} s", flush=True)
    return image


def base(name: str) -> Path:
    if name not in BASES:
        raise StepFailed(
            f"the base {name} cannot be made here; known: {', '.join(BASES)}. Another: GPU_BASE=… as argument"
        )
    return debian(BASES[name], SCRATCH / "bases")


if __name__ == "__main__":
    sys.exit(main())
