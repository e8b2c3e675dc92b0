"""Does what is published work? Builds the distribution and tries it in environments that have nothing else.

Run by .ci/run: `python scripts/wheel_test.py`. The base install must be the client and no more; the install with
`[cpu]` must serve, answer and stop.
"""

import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from environments import BASE_INSTALL, ROOT, fresh_environment, installed

SOURCE_ROOTS = ("protos", "server", "backends", "clients/python")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        wheel = build(Path(folder))
        check_wheel(wheel)
        check_base_install(wheel)
        check_server_install(wheel, Path(folder))


def build(folder: Path) -> Path:
    """Path of the wheel, which was built from the sdist: so that is complete too."""
    print("building the sdist, and from it the wheel", flush=True)
    output(sys.executable, "-m", "build", "--outdir", folder, ROOT)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = archive.getnames()
    leaked = [name for name in names if "/examples/models/" in name or "/.venv" in name]
    expect(not leaked, f"the sdist holds what it should not: {leaked[:5]}")
    (wheel,) = folder.glob("*.whl")
    return wheel


def check_wheel(wheel: Path) -> None:
    """Every module, stub and type marker of the four source roots is in the wheel, and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
        expect(any(name.endswith("licenses/LICENSE") for name in archive.namelist()), "the wheel has no LICENSE")
    wanted = set()
    for root in SOURCE_ROOTS:
        for package in (init.parent for init in (ROOT / root).glob("*/__init__.py")):
            files = (path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
            wanted |= {str(path.relative_to(ROOT / root)) for path in files}
    expect(wanted <= packed, f"missing in the wheel: {sorted(wanted - packed)}")
    expect(packed <= wanted, f"in the wheel by mistake: {sorted(packed - wanted)}")


def check_base_install(wheel: Path) -> None:
    print("base install", flush=True)
    python = fresh_environment("wheel-base", str(wheel))
    names = installed(python)
    expect(names <= BASE_INSTALL, f"the base install brings more than the client: {sorted(names - BASE_INSTALL)}")
    output(python, "-c", "import ortolan_client; ortolan_client.Client('127.0.0.1:1').close()")
    refusal = subprocess.run(
        [python.with_name("ortolan"), "serve", "."], capture_output=True, text=True, check=False, cwd=wheel.parent
    )
    expect(refusal.returncode != 0, "`ortolan serve` of the base install does not fail")
    for extra in ("ortolan[cpu]", "ortolan[gpu]", "ortolan[openvino]"):
        expect(extra in refusal.stderr, f"`ortolan serve` of the base install does not name {extra}: {refusal.stderr}")
    expect("Traceback" not in refusal.stderr, refusal.stderr)


def check_server_install(wheel: Path, folder: Path) -> None:
    print("install with [cpu]", flush=True)
    python = fresh_environment("wheel-cpu", f"{wheel}[cpu]")
    output(python, "-m", "pip", "check")
    print(output(python, ROOT / "tests" / "wheel" / "serve_and_infer.py", folder / "models"), end="")


def output(*command: str | Path) -> str:
    """What a command prints. The root of the repository is on its path for helpers; our packages lie deeper."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, check=False)
    expect(done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def expect(condition: bool, otherwise: str) -> None:  # noqa: FBT001 - it is the sentence's subject
    if not condition:
        sys.exit(f"wheel test: {otherwise}")


if __name__ == "__main__":
    main()
