"""A terminal that runs the commands of a page, against real servers."""

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, chdir, contextmanager
from pathlib import Path

from tests.pages import Command, difference
from tests.serving import running_server

__all__ = ["Terminal", "terminal"]

PAGES_ADDRESS = "127.0.0.1:8001"
LIMIT_S = 60.0
_SERVE = re.compile(r"(?:\S*/)?ortolan serve ")


class Terminal:
    """Runs commands with bash in the present folder, one after the other.

    `ortolan serve` ends the server before it and listens on a free port, which takes the place of the page's
    127.0.0.1:8001. A command that the page interrupts goes on beside the next one, and then until all that is shown of
    it has come.
    """

    def __init__(self, servers: ExitStack, environment: Mapping[str, str]) -> None:
        self._servers = servers
        self._environment = environment
        self.address = PAGES_ADDRESS

    def faults(self, commands: Iterable[Command]) -> Iterator[tuple[Command, str]]:
        """Each command, when it has ended, with what was not as its page shows; empty: nothing."""
        beside: tuple[Command, _Process] | None = None
        for command in commands:
            if _SERVE.match(command.text):
                self._serve(command.text)
                yield command, ""
            elif command.is_interrupted:
                beside = command, self._begin(command)
            else:
                yield command, self._fault(command)
                if beside is not None:
                    yield beside[0], beside[1].interrupt_after(beside[0])
                    beside = None
        if beside is not None:
            yield beside[0], beside[1].interrupt_after(beside[0])

    def said(self, text: str) -> tuple[int, list[str]]:
        """Exit status of a command, and the lines that it prints on both outputs."""
        return self._start(text).end()

    def _serve(self, text: str) -> None:
        self._servers.close()
        path, *flags = shlex.split(_SERVE.sub("", text), comments=True)
        self.address = self._servers.enter_context(running_server(Path(path), *flags)).address

    def _fault(self, command: Command) -> str:
        status, lines = self.said(command.text)
        if command.shown:
            return difference(command.shown, lines)
        return f"ended with status {status}: {' '.join(lines)}" if status else ""

    def _begin(self, command: Command) -> "_Process":
        process = self._start(command.text)
        process.wait_for(bool)  # what comes first says that it listens
        return process

    def _start(self, text: str) -> "_Process":
        return _Process(text.replace(PAGES_ADDRESS, self.address), self._environment)


class _Process:
    """A command at work in a process group of its own; its lines are read as they come."""

    def __init__(self, text: str, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash", "-c", text],  # noqa: S607 - the reader's own
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            start_new_session=True,
        )
        self._lines: list[str] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, enough: Callable[[list[str]], bool]) -> None:
        """Until its lines are enough, or LIMIT_S have passed."""
        with self._news:
            self._news.wait_for(lambda: enough(self._lines), LIMIT_S)

    def interrupt_after(self, command: Command) -> str:
        """Lets it go on until all has come that is shown. Returns what came otherwise."""
        self.wait_for(lambda lines: not difference(command.shown, lines))
        # Not SIGINT, which a process ignores whose parent runs in the background.
        os.killpg(self._process.pid, signal.SIGTERM)
        _, lines = self.end()
        return difference(command.shown, lines)

    def end(self) -> tuple[int, list[str]]:
        """Waits; returns its exit status and all its lines. What takes longer than LIMIT_S is killed."""
        with self._process:
            self._reader.join(LIMIT_S)
            if self._reader.is_alive():
                os.killpg(self._process.pid, signal.SIGKILL)
                self._reader.join()
                self._lines.append(f"killed after {LIMIT_S:.0f} s")
        return self._process.returncode, self._lines

    def _read(self) -> None:
        for line in self._process.stdout or ():
            with self._news:
                self._lines.append(line.rstrip("\n"))
                self._news.notify_all()


@contextmanager
def terminal(folder: Path) -> Iterator[Terminal]:
    """A terminal in `folder`, with the programs of the interpreter's environment."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with chdir(folder), ExitStack() as servers:
        yield Terminal(servers, {**os.environ, "PATH": path})
