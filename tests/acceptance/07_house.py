"""The house is in order: ruff, mypy strict, stubs, and no hand-written file over 400 lines."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent.as_posix()
LONGEST = 400
GENERATED = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi")
HAND_WRITTEN = (".py", ".proto", ".toml", ".sh", "Makefile")


def main() -> int:
    checks: dict[str, list[str]] = {
        "ruff check": [f"{BIN}/ruff", "check", "--quiet", "."],
        "ruff format": [f"{BIN}/ruff", "format", "--quiet", "--check", "."],
        "mypy --strict": [f"{BIN}/mypy"],
        "stubs": [sys.executable, "protos/generate.py", "--check"],
    }
    failed = [name for name, command in checks.items() if subprocess.run(command, cwd=ROOT, check=False).returncode]
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    lengths = {
        name: len((ROOT / name).read_text(encoding="utf-8").splitlines())
        for name in listed
        if name.endswith(HAND_WRITTEN) and not name.endswith(GENERATED) and (ROOT / name).exists()
    }
    longest = max(lengths, key=lengths.__getitem__)
    failed += [f"{name} has {lines} lines" for name, lines in lengths.items() if lines > LONGEST]
    for fault in failed:
        print(f"BAD {fault}")
    where = f"longest of {len(lengths)} hand-written files: {longest}, {lengths[longest]} lines"
    print(f"{len(failed)} faults in {len(checks)} checks; {where}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
