"""Processes on chosen cores: start, hold, go on, stop; what they cost in CPU time and memory."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.environments import ROOT

__all__ = ["Ended", "PinnedProcess", "free_port", "own_cores", "pinned", "wait_until_listening"]

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_STOP_LIMIT_S = 20.0
_LOG_TAIL_LINES = 4
_LOG_TAIL_LETTERS = 500
_KIB = 1024


class Ended(Exception):
    """A process ended that should go on; the text has the end of its log."""


class PinnedProcess:
    """A command and all that it starts, on `cores` alone. Its output goes to `log`."""

    def __init__(self, command: Sequence[str], cores: Sequence[int], log: Path, env: Mapping[str, str]) -> None:
        self.log = log
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                pinned(command, cores), stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=ROOT, env=dict(env)
            )

    def check(self) -> None:
        """Raises Ended when the process is gone."""
        if (status := self._process.poll()) is not None:
            lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
            raise Ended(f"ended with status {status}: {' | '.join(lines[-_LOG_TAIL_LINES:])[-_LOG_TAIL_LETTERS:]}")

    def hold(self) -> None:
        """Stops the clock for it, so that it takes nothing from the server that is measured."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def cpu_s(self) -> float:
        """User and system time of all its processes until now."""
        return sum(_cpu_ticks(pid) for pid in self._tree()) / _TICKS_PER_S

    def memory_bytes(self) -> int:
        """Memory of all its processes, pages that they share counted once."""
        return sum(_proportional_bytes(pid) for pid in self._tree())

    def stop(self) -> None:
        if self._process.poll() is not None:
            return
        alive = {pid: _started_ticks(pid) for pid in self._tree()}
        self.go_on()
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_LIMIT_S)
        for pid, started_ticks in alive.items():  # those that outlived it, and no other that took a number over
            if started_ticks is not None and _started_ticks(pid) == started_ticks:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        for pid in self._tree():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _tree(self) -> list[int]:
        children: dict[int, list[int]] = {}
        for path in Path("/proc").iterdir():
            if path.name.isdecimal() and (parent := _parent(int(path.name))) is not None:
                children.setdefault(parent, []).append(int(path.name))
        tree = [self._process.pid]
        for pid in tree:
            tree.extend(children.get(pid, ()))
        return tree


def pinned(command: Sequence[str], cores: Sequence[int]) -> list[str]:
    """The command that runs `command` on these cores."""
    return ["taskset", "--cpu-list", ",".join(map(str, cores)), *command]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def own_cores(cores: Sequence[int]) -> Iterator[None]:
    """This process on these cores for a while."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def wait_until_listening(process: PinnedProcess, port: int, limit_s: float) -> None:
    """Raises Ended when the process ends first, TimeoutError after `limit_s`."""
    until_s = time.monotonic() + limit_s
    while time.monotonic() < until_s:
        process.check()
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.002)
    raise TimeoutError(f"nothing listens on port {port} after {limit_s:.0f} s")


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat behind the command's name; None when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _parent(pid: int) -> int | None:
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def _started_ticks(pid: int) -> int | None:
    fields = _stat(pid)
    return int(fields[19]) if fields else None


def _cpu_ticks(pid: int) -> int:
    """Own time and that of children which ended and were waited for."""
    fields = _stat(pid)
    return sum(map(int, fields[11:15])) if fields else 0


def _proportional_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) * _KIB for line in lines if line.startswith("Pss:"))
