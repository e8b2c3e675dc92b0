"""The rooms of the house: imports point one way, and a file is one idea."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ("protos", "server", "backends", "clients/python")
LONGEST_FILE_LINES = 400

# From the bottom up: a module of the server imports from its own room and from those below it, never sideways.
LAYERS = (
    {"addresses", "deadlines", "digests", "errors", "units", "validation"},
    {"telemetry", "tensors"},
    {"shared_memory"},
    {"allocation", "codec", "repository", "settings"},
    {"cache"},
    {"chains", "engine"},
    {"lifecycle"},
    {"services"},
    {"bench", "transport"},
    {"app"},
    {"commands"},
    {"entry"},
)
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}

# Who of the other packages may be imported where; what is not named here is free.
HOME = {
    "onnxruntime": {"ortolan_backends.runtime.ort"},
    "grpc": {"ortolan_server.transport", "ortolan_client"},
    "grpc_channelz": {"ortolan_server.transport"},
    "grpc_health": {"ortolan_server.transport"},
    "grpc_reflection": {"ortolan_server.transport"},
    "logging": {"ortolan_server.telemetry"},
    "ortolan_backends": {"ortolan_backends", "ortolan_server"},
    "ortolan_client": {"ortolan_client", "ortolan_server.commands"},
    "ortolan_server": {"ortolan_server"},
}


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    module_name(path, ROOT / root): path
    for root in SOURCES
    for path in (ROOT / root).rglob("*.py")
    if not path.stem.endswith(("_pb2", "_pb2_grpc"))
}


def imports(path: Path) -> Iterator[str]:
    """Full names of all modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


@pytest.mark.parametrize("module", MODULES)
def test_imports_stay_in_their_rooms(module: str) -> None:
    for imported in imports(MODULES[module]):
        homes = HOME.get(imported.partition(".")[0])
        assert homes is None or any(within(module, home) for home in homes), f"{module} imports {imported}"


@pytest.mark.parametrize("module", [module for module in MODULES if module.startswith("ortolan_server.")])
def test_server_imports_point_one_way(module: str) -> None:
    room = module.split(".")[1]
    for imported in imports(MODULES[module]):
        if within(imported, "ortolan_server") and imported != "ortolan_server":
            other = imported.split(".")[1]
            assert {room, other} <= LEVEL.keys(), f"say in LAYERS where {room} and {other} belong"
            assert other == room or LEVEL[other] < LEVEL[room], f"{module} imports {imported}"


def test_the_map_of_the_lifecycle_has_each_of_its_modules() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    _, _, chapter = text.partition("The largest room, `lifecycle/`")
    rows = [line for line in chapter.partition("\n## ")[0].splitlines() if line.startswith("| ")][1:]
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    modules = [module.split(".")[2] for module in MODULES if module.startswith("ortolan_server.lifecycle.")]
    assert sorted(named) == sorted(modules)


def hand_written() -> list[Path]:
    """Every Python and .proto file of the repository that a person wrote."""
    folders = (*SOURCES, "benchmarks", "examples", "scripts", "tests")
    paths = [path for folder in folders for kind in ("*.py", "*.proto") for path in (ROOT / folder).rglob(kind)]
    return [path for path in paths if not path.stem.endswith(("_pb2", "_pb2_grpc"))]


def test_files_are_short() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in hand_written()}
    assert lengths
    assert {path: lines for path, lines in lengths.items() if lines > LONGEST_FILE_LINES} == {}
