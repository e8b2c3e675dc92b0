"""A container of an image, as far as a machine without an engine can have one.

The first process of a PID namespace, as the image's user without a way to more rights, on a root file system that is
mounted for reading only. There is no /tmp to write to; /dev/shm is there, as in every container.
"""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tests.image.build import Image
from tests.image.roots import devices, inside, lent, run
from tests.serving import STOP_LIMIT_S, RunningServer

__all__ = ["ADDRESS", "HTTP_ADDRESS", "Container", "container", "leave_the_network"]

HOST = "192.0.2.1"
ADDRESS = f"{HOST}:8001"
HTTP_ADDRESS = f"{HOST}:8002"
_CLONE_NEWNET = 0x40000000
_HEALTH_RETRIES = 3  # Docker's own, which the Dockerfile leaves as it is


class Container:
    """`server` reads its log; `pid` is its first process as seen from here."""

    def __init__(self, image: Image, server: RunningServer, pid: int, environment: Mapping[str, str]) -> None:
        self.image = image
        self.server = server
        self.pid = pid
        self._environment = environment

    def run(self, *command: str, user: str = "", limit_s: float = 30.0) -> subprocess.CompletedProcess[str]:
        """Runs another command in it, as `docker exec` does. Raises subprocess.TimeoutExpired."""
        uid, _, gid = (user or self.image.user).partition(":")
        settings = [f"{name}={value}" for name, value in self._environment.items()]
        enter = ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--root", "--wd", f"--setuid={uid}"]
        return subprocess.run(
            [*enter, f"--setgid={gid}", "/usr/bin/env", "-i", *settings, *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=limit_s,
        )

    def check_health(self, *settings: str) -> subprocess.CompletedProcess[str]:
        """The HEALTHCHECK, as the engine makes it: only the last of three in a row that take too long counts."""
        command = ("/usr/bin/env", *settings, *self.image.health)
        for _ in range(_HEALTH_RETRIES - 1):
            with suppress(subprocess.TimeoutExpired):
                return self.run(*command, limit_s=self.image.health_timeout_s)
        return self.run(*command, limit_s=self.image.health_timeout_s)

    def stop(self) -> int:
        """Sends the image's stop signal to the first process and waits. Returns the exit status."""
        os.kill(self.pid, signal.Signals[self.image.stop_signal])
        return self.server.process.wait(STOP_LIMIT_S)


@contextmanager
def container(
    image: Image,
    models: Path,
    *,
    arguments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    lends: Mapping[str, Path] | None = None,
) -> Iterator[Container]:
    """Starts ENTRYPOINT and CMD, or ENTRYPOINT and `arguments`; `models` stands at /models, `lends` at their names.

    Killed at the end if it still runs.
    """
    settings = {"HOME": "/", "HOSTNAME": "ortolan"} | image.environment | dict(environment or {})
    command = inside(image.root, [*image.entrypoint, *(arguments or image.command)], settings, user=image.user)
    with ExitStack() as mounts:
        mounts.enter_context(devices(image.root))
        for target, source in {"/models": models, **(lends or {})}.items():
            mounts.enter_context(lent(source, image.root, target))
        run("mount", "-o", "remount,ro", str(image.root))
        mounts.callback(run, "mount", "-o", "remount,rw", str(image.root))
        process = mounts.enter_context(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
        first = _first_process(process)
        # Not by `unshare --kill-child`: a change of the user undoes that.
        mounts.callback(_kill, first, process)
        yield Container(image, RunningServer(process), first, settings)


def _kill(first: int, unshare: subprocess.Popen[str]) -> None:
    if unshare.poll() is None:  # so `first` is still its child
        os.kill(first, signal.SIGKILL)


def _first_process(unshare: subprocess.Popen[str]) -> int:
    """The one child of `unshare --fork`, which takes a moment to be there."""
    children = Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children")
    deadline_s = time.monotonic() + STOP_LIMIT_S
    while time.monotonic() < deadline_s and unshare.poll() is None:
        if found := children.read_text().split():
            return int(found[0])
        time.sleep(0.01)
    raise RuntimeError("the container did not start")


def leave_the_network() -> None:
    """Moves this process, and what it starts, to a network of its own, where nobody has taken the image's port.

    Its host has an address beside loopback: what answers there listens wider.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "no network namespace")
    run("ip", "link", "set", "lo", "up")
    run("ip", "address", "add", f"{HOST}/32", "dev", "lo")
