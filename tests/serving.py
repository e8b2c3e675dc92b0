"""A real server for tests, acceptance checks and benchmarks: `ortolan serve` in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

__all__ = ["RunningServer", "running_server"]

START_LIMIT_S = 90.0
STOP_LIMIT_S = 40.0
LOADED = "models_loaded"
ENTRY = "from ortolan_server.entry import main; main()"


class RunningServer:
    """A server process and its log, which is read as it comes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.events: list[dict[str, object]] = []
        self.output: list[str] = []
        self._ended = False
        self._news = threading.Condition()
        self._readers = [
            threading.Thread(target=self._read_events, daemon=True),
            threading.Thread(target=self._read_output, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    @property
    def address(self) -> str:
        return str(self.wait_for("server_listening")["address"])

    @property
    def http_address(self) -> str:
        return str(self.wait_for("server_listening")["http_address"])

    def wait_for(self, event: str, limit_s: float = START_LIMIT_S, **having: object) -> Mapping[str, object]:
        """The first log event of that name, with those keys. Raises AssertionError when it does not come."""
        found: list[dict[str, object]] = []

        def seen() -> bool:
            found[:] = [line for line in self.events if line.get("event") == event and having.items() <= line.items()]
            return bool(found) or self._ended

        with self._news:
            self._news.wait_for(seen, limit_s)
        assert found, f"no event {event} {having}; the log:\n{self.log}"
        return found[0]

    def wait_for_output(self, text: str) -> None:
        """Until standard output has a line with that text. Raises AssertionError when it does not come."""
        with self._news:
            seen = self._news.wait_for(lambda: any(text in line for line in self.output), START_LIMIT_S)
        assert seen, f"no output {text!r}, only {self.output}"

    def wait_for_runs(self, count: int) -> None:
        """Until so many runs are being made. Raises AssertionError when it does not come to that."""
        self.wait_for_metric("ortolan_running_runs", count)

    def wait_for_metric(self, name: str, value: float) -> None:
        """Until that is its value, of all labels together. Raises AssertionError when it does not come to that."""
        give_up_s = time.monotonic() + START_LIMIT_S
        while (now := self._metric(name)) != value:
            assert time.monotonic() < give_up_s, f"{name} is not {value}, but {now}"
            time.sleep(0.01)

    @property
    def log(self) -> str:
        return "\n".join(json.dumps(line) for line in self.events)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends the signal and waits; returns the exit status."""
        self.process.send_signal(number)
        status = self.process.wait(STOP_LIMIT_S)
        for reader in self._readers:
            reader.join(STOP_LIMIT_S)
        return status

    def _metric(self, name: str) -> float:
        url = f"http://{self.http_address}/metrics?name[]={name}"
        with urlopen(url, timeout=START_LIMIT_S) as response:
            lines = response.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#"))

    def _read_events(self) -> None:
        for line in self.process.stderr or ():
            try:
                event = json.loads(line)
            except ValueError:
                event = {"event": "text", "text": line.rstrip()}
            with self._news:
                self.events.append(event)
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def _read_output(self) -> None:
        for line in self.process.stdout or ():
            with self._news:
                self.output.append(line)
                self._news.notify_all()


@contextmanager
def running_server(
    repository: Path,
    *flags: str,
    python: str | Path = sys.executable,
    env: Mapping[str, str] | None = None,
    wait_for: str = LOADED,
    before: str = "",
) -> Iterator[RunningServer]:
    """Serves `repository` on free ports with the interpreter `python`; everything is loaded when it is given out, or
    another event of its log has come. `before` is code that the process runs first. ORTOLAN_TEST_SERVE_FLAGS adds flags
    to those of every server.

    Stopped at the end with SIGTERM unless it has ended; then its exit status must be 0.
    """
    free = "127.0.0.1:0"
    address = [word for flag in ("--grpc-address", "--http-address") if flag not in flags for word in (flag, free)]
    more = os.environ.get("ORTOLAN_TEST_SERVE_FLAGS", "").split()
    command = [str(python), "-c", f"{before}\n{ENTRY}", "serve", str(repository), *address, *flags, *more]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as process:
        server = RunningServer(process)
        try:
            server.wait_for(wait_for)
            yield server
            if process.poll() is None:
                status = server.stop()
                assert status == 0, f"the server ended with status {status}; the log:\n{server.log}"
        finally:
            if process.poll() is None:
                process.kill()
