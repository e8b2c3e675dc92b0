"""Generates the Python stubs beside the .proto files: `python protos/generate.py [--check]`.

With `--check` nothing is written: exit 1 if what is committed differs from what would be generated.
"""

import argparse
import difflib
import sys
import tempfile
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent
DEFAULT_POOL = "_descriptor_pool.Default()"
POOL_IMPORT = "from google.protobuf import descriptor_pool as _descriptor_pool\n"
OUR_POOL_IMPORT = "from ortolan.pool import POOL as _POOL\n"


def generate(target: Path) -> None:
    """Writes every stub under `target`."""
    sources = sorted(str(path.relative_to(ROOT)) for path in ROOT.rglob("*.proto"))
    well_known = resources.files("grpc_tools") / "_proto"
    outputs = [f"--{kind}_out={target}" for kind in ("python", "grpc_python")]
    for plugin in ("mypy", "mypy_grpc"):
        # The plugins are scripts beside the interpreter, which need not be on the PATH.
        outputs.append(f"--plugin={Path(sys.executable).with_name(f'protoc-gen-{plugin}')}")
        outputs.append(f"--{plugin}_out=quiet:{target}")
    status = protoc.main(["protoc", f"-I{ROOT}", f"-I{well_known}", *outputs, *sources])
    if status != 0:
        raise SystemExit(status)
    for path in target.rglob("*_pb2.py"):
        path.write_text(into_our_pool(path.read_text()))
    for path in target.rglob("*_pb2_grpc.py*"):
        if "Stub:" not in path.read_text() and "Stub(" not in path.read_text():
            path.unlink()  # of a .proto without a service


def into_our_pool(code: str) -> str:
    """Generated module text whose messages are registered in `ortolan.pool.POOL`.

    The generator has no option for it (see `ortolan/pool.py` for why it is needed).
    """
    if DEFAULT_POOL not in code or POOL_IMPORT not in code:
        raise SystemExit("the generator's output has changed its shape: mend into_our_pool()")
    return code.replace(POOL_IMPORT, OUR_POOL_IMPORT).replace(DEFAULT_POOL, "_POOL")


def stubs(root: Path) -> dict[Path, str]:
    """Text of every generated file under `root`, by its path there."""
    paths = sorted(root.rglob("*_pb2*.py*"))
    return {path.relative_to(root): path.read_text() for path in paths if "__pycache__" not in path.parts}


def drift(committed: dict[Path, str], fresh: dict[Path, str]) -> list[str]:
    """What differs between two sets of stubs, as lines for a person."""
    diffs = [f"only committed: {path}" for path in committed if path not in fresh]
    diffs += [f"not committed: {path}" for path in fresh if path not in committed]
    for path in sorted(committed.keys() & fresh.keys()):
        lines = (committed[path].splitlines(), fresh[path].splitlines())
        diffs += difflib.unified_diff(*lines, f"committed/{path}", f"generated/{path}", lineterm="")
    return diffs


def replace(committed: dict[Path, str], fresh: dict[Path, str]) -> None:
    """Makes the committed stubs equal to the fresh ones; files that no .proto gives any more go."""
    for path in committed.keys() - fresh.keys():
        (ROOT / path).unlink()
    for path, text in fresh.items():
        (ROOT / path).write_text(text)


def main() -> None:
    """Generates into a folder aside, so that a failure leaves the committed stubs as they were."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh = stubs(Path(folder))
    committed = stubs(ROOT)
    if not check:
        replace(committed, fresh)
    elif diffs := drift(committed, fresh):
        sys.exit("\n".join([*diffs, "", "the stubs are stale: run `make proto` and commit"]))


if __name__ == "__main__":
    main()
