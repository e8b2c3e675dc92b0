"""Two servers, one client: one of them is killed, stopped or hangs while 16 calls at a time go on. None may fail."""

import signal
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ortolan_client import Client, OrtolanClientError
from tests import models
from tests.serving import RunningServer, running_server

THREADS = 16
BEFORE_S = 1.0
# Pings find out a server that hangs: after 10 s without one, and 2 s without an answer.
AFTER_S = {signal.SIGKILL: 4.0, signal.SIGTERM: 6.0, signal.SIGSTOP: 18.0}
X = np.ones((1, 2), np.float32)
# Over the 256 KiB to which gRPC by itself limits what it keeps for another attempt.
LARGE = np.ones((65_536, 2), np.float32)


@dataclass
class Load:
    """What came of calls from many threads."""

    client: Client
    answered: int = 0
    failures: list[str] = field(default_factory=list)
    longest_s: float = 0.0
    over: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def call(self, number: int) -> None:
        x = X if number % 4 else LARGE
        while not self.over.is_set():
            began_s = time.monotonic()
            try:
                right = bool((self.client.infer("add_one", {"x": x})["y"] == x + 1).all())
                failure = "" if right else "a wrong answer"
            except OrtolanClientError as error:
                failure = str(error)
            with self.lock:
                self.longest_s = max(self.longest_s, time.monotonic() - began_s)
                self.answered += not failure
                self.failures += [failure] if failure else []


def main() -> int:
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        models.save(models.add_one(), Path(folder) / "add_one")
        for event in AFTER_S:
            failed += len(suffer(Path(folder), event).failures)
    print(f"{failed} calls failed at SIGKILL, SIGTERM and SIGSTOP of one server of two")
    return 1 if failed else 0


def suffer(repository: Path, event: signal.Signals) -> Load:
    with (
        running_server(repository) as stays,
        running_server(repository) as goes,
        Client([stays.address, goes.address], timeout_s=60) as client,
    ):
        load = Load(client)
        with ThreadPoolExecutor(THREADS) as pool:
            running = [pool.submit(load.call, number) for number in range(THREADS)]
            try:
                happen(load, goes, event)
            finally:
                load.over.set()
        for each in running:
            each.result()
        if event == signal.SIGSTOP:
            goes.process.send_signal(signal.SIGCONT)
    print(f"{event.name}: {load.answered} answers, {len(load.failures)} failures, longest call {load.longest_s:.1f} s")
    for failure in sorted(set(load.failures)):
        print(f"  {failure}")
    sys.stdout.flush()
    return load


def happen(load: Load, goes: RunningServer, event: signal.Signals) -> None:
    time.sleep(BEFORE_S)
    assert load.answered, "nothing was answered before"
    goes.process.send_signal(event)
    time.sleep(AFTER_S[event])


if __name__ == "__main__":
    sys.exit(main())
