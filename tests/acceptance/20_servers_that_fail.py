"""Two servers, one client: one of them is killed, stopped or hangs while 16 calls at a time go on. None may fail."""

import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from ortolan_client import Client
from tests import models
from tests.load import Load
from tests.serving import STOP_LIMIT_S, RunningServer, running_server

THREADS = 16
BEFORE = 500
# Pings find out a server that hangs: after 10 s without one, and 2 s without an answer.
AFTER_S = {signal.SIGKILL: 4.0, signal.SIGTERM: 6.0, signal.SIGSTOP: 18.0}
X = np.ones((1, 2), np.float32)
# Over the 256 KiB to which gRPC by itself limits what it keeps for another attempt.
LARGE = np.ones((65_536, 2), np.float32)


def main() -> int:
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        models.save(models.add_one(), Path(folder) / "add_one")
        for event in AFTER_S:
            failed += suffer(Path(folder), event).failed
    print(f"{failed} calls failed at SIGKILL, SIGTERM and SIGSTOP of one server of two")
    return 1 if failed else 0


def suffer(repository: Path, event: signal.Signals) -> Load:
    with (
        running_server(repository) as stays,
        running_server(repository) as goes,
        Client([stays.address, goes.address], timeout_s=60) as client,
    ):

        def call(number: int) -> str:
            x = X if number % 4 else LARGE
            return "" if (client.infer("add_one", {"x": x})["y"] == x + 1).all() else "a wrong answer"

        load = Load(call, THREADS)
        with load.going_on():
            happen(load, goes, event)
        if event == signal.SIGSTOP:
            goes.process.send_signal(signal.SIGCONT)
    print(f"{event.name}: {load.answered} answers, {load.failed} failures, longest call {load.longest_s:.1f} s")
    for failure, count in load.failures.items():
        print(f"  {count} × {failure}")
    sys.stdout.flush()
    return load


def happen(load: Load, goes: RunningServer, event: signal.Signals) -> None:
    load.wait_for_answers(BEFORE)
    goes.process.send_signal(event)
    time.sleep(AFTER_S[event])
    if event == signal.SIGTERM:
        assert goes.process.wait(STOP_LIMIT_S) == 0, goes.log  # a second SIGTERM would not let it finish


if __name__ == "__main__":
    sys.exit(main())
