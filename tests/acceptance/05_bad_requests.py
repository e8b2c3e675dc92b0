"""Nothing a client sends may kill the server: a table of bad requests, each with the answer it must get.

After each of them the same process gives a right answer; at the end it ends with 0, and its log has no fault.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

from ortolan_backends.runtime.ort import onnxruntime
from ortolan_client import Client
from tests.conformance import bad_magika
from tests.conformance.bad_requests import SERVER_FLAGS, TABLE
from tests.conformance.models import write_repository
from tests.conformance.verdicts import answer_fault, log_faults
from tests.conformance.wire import Wire
from tests.serving import RunningServer, running_server

MAGIKA = Path(__file__).resolve().parents[2] / "examples" / "models" / "magika"
ROWS = (*TABLE, *bad_magika.TABLE)


def main() -> int:
    with tempfile.TemporaryDirectory() as scratch:
        repository = Path(scratch)
        write_repository(repository)
        shutil.copytree(MAGIKA, repository / "magika")
        with running_server(repository, *SERVER_FLAGS) as server, Wire(server.address) as wire:
            faults = send_all(server, wire)
            check_magika(server.address)
            status = server.stop()
    ended = [f"the log: {fault}" for fault in log_faults(server)]
    if status != 0:
        ended.append(f"after SIGTERM the server ended with {status}")
    for fault in (*faults, *ended):
        print(f"FAULT {fault}")
    went_on = "the server did not go on" if ended else "the server went on"
    print(f"{len(ROWS) - len(faults)} of {len(ROWS)} bad requests answered as the table says; {went_on}")
    return 1 if faults or ended else 0


def send_all(server: RunningServer, wire: Wire) -> list[str]:
    """Every row in its order; what went wrong."""
    faults = []
    for row in ROWS:
        fault = answer_fault(row, wire)
        print(f"{row.code:19} {row.name}" + (f"  <- {fault}" if fault else ""))
        if fault:
            faults.append(f"{row.name}: {fault}")
        if server.process.poll() is not None:
            raise AssertionError(f"{row.name}: the server died with status {server.process.returncode}")
    return faults


def check_magika(address: str) -> None:
    """Raises AssertionError unless the real model still answers as ONNX Runtime does here."""
    (path,) = MAGIKA.rglob("*.onnx")
    tokens = np.arange(2 * bad_magika.WIDTH, dtype=np.int32).reshape(2, -1) % 256
    with Client(address) as client:
        came = client.infer("magika", {"bytes": tokens})
    session = onnxruntime.InferenceSession(path)
    np.testing.assert_allclose(came["target_label"], session.run(["target_label"], {"bytes": tokens})[0], rtol=1e-4)


if __name__ == "__main__":
    sys.exit(main())
