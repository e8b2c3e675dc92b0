"""Whatever speaks to a server through both lanes, on the lowest and the newest grpcio; and the property tests on both.

The lowest is the one that the committed stubs were generated for: the floors of `pyproject.toml`.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from environments import fresh_environment  # noqa: E402

THROUGH_A_LANE = ("tests/server/transport", "tests/clients/test_tls.py")
# How the core words what is no HTTP/2 differs from release to release; Triton's client wants a newer gRPC.
ON_THE_LOWEST = (
    *THROUGH_A_LANE,
    *(f"--ignore=tests/server/transport/test_{name}.py" for name in ("bad_requests", "shared_memory")),
)
# What hypothesis marks so. Those of bench have nothing to do with gRPC or protobuf.
PROPERTIES = (
    "tests/clients/test_messages.py",
    *(f"tests/server/{room}" for room in ("codec", "engine", "tensors")),
    *("-m", "hypothesis"),
)
TOOLS = ("hypothesis", "ml-dtypes", "pytest", "pytest-timeout", "pytest-xdist")
WORKERS = ("--numprocesses", "auto", "--maxprocesses", "8", "--dist", "loadfile")  # as `make test` has them
FLOOR = re.compile(r'"((?:grpcio|protobuf)[a-z-]*)>=([0-9.]+)"')
PASSED = re.compile(r"(\d+) passed")
FAST, PUBLIC = "", "--public-lane"


@dataclass(frozen=True)
class Part:
    name: str
    python: str | Path
    flags: str
    tests: tuple[str, ...]


def main() -> int:
    newest, lowest = sys.executable, fresh_environment("lowest", "--editable", f"{ROOT}[cpu]", *floors(), *TOOLS)
    parts = (
        Part("fast lane, newest grpcio", newest, FAST, THROUGH_A_LANE),
        Part("public lane, newest grpcio", newest, PUBLIC, THROUGH_A_LANE),
        Part("fast lane, lowest grpcio", lowest, FAST, ON_THE_LOWEST),
        Part("public lane, lowest grpcio", lowest, PUBLIC, ON_THE_LOWEST),
        Part("property tests, newest protobuf", newest, FAST, PROPERTIES),
        Part("property tests, lowest protobuf", lowest, FAST, PROPERTIES),
    )
    counts = [(part, run(part)) for part in parts]
    bad = [part.name for part, passed in counts if not passed]
    told = ", ".join(f"{part.name} {passed or 'FAILED'}" for part, passed in counts)
    print(f"{len(parts) - len(bad)} of {len(parts)} parts green; tests passed: {told}")
    return 1 if bad else 0


def run(part: Part) -> int:
    """How many tests passed; 0 when one failed."""
    print(part.name, flush=True)
    done = subprocess.run(
        [part.python, "-m", "pytest", "--quiet", *WORKERS, *part.tests],
        cwd=ROOT,
        env={**os.environ, "ORTOLAN_TEST_SERVE_FLAGS": part.flags},
        check=False,
        stdout=subprocess.PIPE,
        text=True,
    )
    print(done.stdout, flush=True)
    passed = PASSED.search(done.stdout)
    return int(passed[1]) if passed and done.returncode == 0 else 0


def floors() -> list[str]:
    """Each gRPC package, and protobuf, at the lowest version that is allowed."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return sorted({f"{name}=={version}" for name, version in FLOOR.findall(project)})


if __name__ == "__main__":
    sys.exit(main())
