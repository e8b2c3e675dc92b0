"""A provider that fails on command under the calls of 8 clients: the next rung answers, within the calls' deadlines;
state, metrics and the watch say when and why; and the model climbs back when the provider works again.

The provider is a plugin of ONNX Runtime that is made for this, so the sessions that fail are real ones.
"""

import os
import shutil
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from ortolan.v1 import findings_pb2 as found
from ortolan.v1 import provider_reflection_pb2 as pb
from ortolan_client import Client, OrtolanClientError
from tests import models
from tests.faulty_provider.building import install_faulty
from tests.faulty_provider.commands import Commands
from tests.faulty_provider.faulty import Faulty
from tests.load import Load
from tests.serving import RunningServer, running_server

CLIENTS = 8
# Long enough for a machine that is busy with other things too; how long the calls took is told.
DEADLINE_S = 30.0
LIMIT_S = 120.0
BETWEEN = 200
FAILURES = {
    "lost": "device lost",
    "ep_fail": "the provider failed",
    "hang": "a run has not ended",
}
CONTRACT = """
[[chain]]
provider = "cpu"

[require]
provider = "faulty"
otherwise = "degrade"

[failover]
hang_after_s = 2
probe_after_s = 0.2
probe_most_s = 1
"""
X = np.ones((1, 2), np.float32)


class Watch:
    """What WatchAssignments told, as it came, and when."""

    def __init__(self, client: Client) -> None:
        self.told: list[pb.AssignmentSummary] = []
        self._thread = threading.Thread(target=self._read, args=(client,), daemon=True)
        self._thread.start()

    def kinds(self) -> list[str]:
        """Of what happened since: the first word tells how things stood, perhaps after an earlier recovery."""
        return [found.Event.Kind.Name(summary.last_event.kind) for summary in self.told[1:]]

    def _read(self, client: Client) -> None:
        with suppress(OrtolanClientError):  # the client is closed
            for summary in client.watch("m"):
                self.told.append(summary)


def until(holds: Callable[[], object], what: str) -> float:
    began_s = time.monotonic()
    while not holds():
        assert time.monotonic() - began_s < LIMIT_S, f"not {what} within {LIMIT_S:.0f} s"
        time.sleep(0.005)
    return time.monotonic() - began_s


def metric(server: RunningServer, line: str) -> float:
    with urllib.request.urlopen(f"http://{server.http_address}/metrics", timeout=LIMIT_S) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(each.rpartition(" ")[2]) for each in lines if each.startswith(line))


def serving(client: Client, service: str) -> bool:
    return client.health(service).name == "SERVING"


def suffer(server: RunningServer, commands: Commands, clients: list[Client], command: str) -> list[str]:
    """One failure and its recovery under load. Returns what was not as it should be."""

    def provider() -> str:
        return control.assignment("m").serving_provider

    def call(number: int) -> str:
        answer = clients[number].infer("m", {"x": X}, timeout_s=DEADLINE_S)
        return "" if (answer["y"] == X + 1).all() else "a wrong answer"

    control = clients[-1]
    faults = []
    watch = Watch(control)
    until(lambda: watch.told, "the watch's first word")
    failovers = metric(server, "ortolan_failovers_total")
    load = Load(call, CLIENTS)
    with load.going_on():
        load.wait_for_answers(BETWEEN)
        commands.say(command)
        down_s = until(lambda: provider() == "cpu", "on the next rung")
        load.wait_for_answers(BETWEEN)
        degraded = serving(control, "m") and not serving(control, "m#contract")
        faults += [] if degraded else ["health says nothing of it"]
        commands.say("ok")
        up_s = until(lambda: provider() == "faulty", "back on the first rung")
        load.wait_for_answers(BETWEEN)
        faults += [] if serving(control, "m#contract") else ["health says that the contract is not kept"]
    until(lambda: "RECOVERED" in watch.kinds(), "told of its recovery")
    kinds = watch.kinds()
    for kind in ("DEVICE_FAILED", "FAILED_OVER", "RECOVERED"):
        faults += [] if kind in kinds else [f"the watch told of no {kind}: {kinds}"]
    reasons = [
        summary.last_event.reason for summary in watch.told if summary.last_event.kind == found.Event.FAILED_OVER
    ]
    faults += [] if any(FAILURES[command] in reason for reason in reasons) else [f"the reason is not told: {reasons}"]
    counted = metric(server, "ortolan_failovers_total") - failovers
    faults += [] if counted == 1 else [f"the metrics count {counted:g} failovers"]
    faults += [f"{count} × {failure}" for failure, count in load.failures.items()]
    print(
        f"{command}: {load.answered} answers, {load.failed} failures, longest call {load.longest_s * 1e3:.0f} ms; the "
        f"next rung served after {down_s * 1e3:.0f} ms, the first again {up_s:.1f} s after it worked again"
    )
    return faults


def main() -> int:
    compiler = shutil.which("cc")
    if compiler is None:
        print("no C compiler (cc) is here to make the provider with")
        return 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        commands = Commands(folder / "commands")
        paths = [str(install_faulty(compiler, folder)), os.environ.get("PYTHONPATH", "")]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "ORTOLAN_FAULTY_COMMANDS": str(commands.file),
        }
        faulty = Faulty(commands, environment)
        models.save(models.add_one(), folder / "models" / "m", toml=faulty.toml + CONTRACT)
        with running_server(folder / "models", env=environment) as server:
            clients = [Client(server.address, timeout_s=60) for _ in range(CLIENTS + 1)]
            faults = []
            for command in FAILURES:
                faults += [f"{command}: {fault}" for fault in suffer(server, commands, clients, command)]
            for client in clients:
                client.close()
    for fault in faults:
        print(f"BAD {fault}")
    print(
        f"{len(FAILURES)} failures on command under {CLIENTS} clients with a deadline of {DEADLINE_S:.0f} s each: "
        f"{len(faults)} things were not as they should be"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
