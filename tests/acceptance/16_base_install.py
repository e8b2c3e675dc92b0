"""`pip install .` in a clean environment: the client works against a live server, and brings no more than it needs."""

import subprocess
import sys
import tempfile
from pathlib import Path

from tests import models
from tests.serving import running_server

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from environments import BASE_INSTALL, fresh_environment, installed  # noqa: E402


def main() -> int:
    python = fresh_environment("base", str(ROOT))
    names = installed(python)
    print(f"installed: {', '.join(sorted(names))}", flush=True)
    worked = call(python)
    more = names - BASE_INSTALL
    word = "works" if worked else "FAILS"
    print(f"the client {word} beside {len(names)} packages; more than it needs: {', '.join(sorted(more)) or 'none'}")
    return 0 if worked and not more else 1


def call(python: Path) -> bool:
    """Whether the client of that environment does all it should; its server is that of this one."""
    with tempfile.TemporaryDirectory() as folder:
        models.save(models.simple(), Path(folder) / "simple")
        with running_server(Path(folder), "--shared-memory") as server:
            command = [str(python), "-I", str(ROOT / "tests/wheel/call_server.py"), server.address]
            return subprocess.run(command, cwd="/", check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
