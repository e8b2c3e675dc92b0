"""A language's own build or test, run as a child process."""

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

__all__ = ["CLIENTS", "run"]

CLIENTS = Path(__file__).parents[2] / "clients"


def run(folder: Path, *command: str, env: Mapping[str, str] | None = None) -> str:
    """Runs a command in `folder`; returns what it wrote to standard output.

    Raises AssertionError with all that it wrote, when it fails. How long it may take is said by the test's timeout.
    """
    with subprocess.Popen(
        command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            output, errors = process.communicate()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)  # a build's own children, too
            raise
    assert process.returncode == 0, f"{' '.join(command)} ended with {process.returncode}\n{output}\n{errors}"
    return output
