"""A real server for a measurement: `ortolan serve` in a process of its own, on a free port."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ortolan_client import Client, OrtolanClientError

__all__ = ["serving"]

START_LIMIT_S = 60.0
STOP_LIMIT_S = 20.0
POLL_S = 0.05


@contextmanager
def serving(repository: Path) -> Iterator[str]:
    """Address of a server that serves every model of `repository`; stopped at the end, where its exit status is 0."""
    address = f"127.0.0.1:{free_port()}"
    ortolan = Path(sys.executable).with_name("ortolan")
    command = [str(ortolan), "serve", str(repository), "--grpc-address", address]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_until_ready(process, address)
            yield address
        finally:
            process.send_signal(signal.SIGTERM)
            log = process.communicate(timeout=STOP_LIMIT_S)[1]
    if process.returncode != 0:
        sys.exit(f"the server ended with status {process.returncode}:\n{log}")


def wait_until_ready(process: subprocess.Popen[str], address: str) -> None:
    give_up_s = time.monotonic() + START_LIMIT_S
    with Client(address, timeout_s=1) as client:
        while time.monotonic() < give_up_s:
            if process.poll() is not None:
                sys.exit(f"the server ended with status {process.returncode}:\n{process.communicate()[1]}")
            try:
                if client.server_ready():
                    return
            except OrtolanClientError:
                pass  # not listening yet
            time.sleep(POLL_S)
    sys.exit(f"the server is not ready after {START_LIMIT_S:.0f} s")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
