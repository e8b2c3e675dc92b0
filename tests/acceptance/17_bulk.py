"""Bulk: a million rows of the tiny model held against ONNX Runtime in this process, and jobs that are killed.

Half of the kills hit the client, half the server, each at a random moment of a run (seeded), up to five in one job, and
what was killed starts again. At the end every row of the output must be there once, with the answer that an
uninterrupted run gave it.
"""

import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from benchmarks.models import write_repository
from ortolan_backends.runtime.ort import onnxruntime
from ortolan_client import Client
from tests.serving import ENTRY, running_server

ROWS = 1_000_000
WIDTH = 12
ROUNDS = 7
ENOUGH = 0.5

KILLS = 50
KILLS_OF_A_JOB = 5
ROWS_OF_A_JOB = 100_000
SEED = 17
JOB_LIMIT_S = 240.0

DIE_AT_WRITE = """\
import os
fsync, writes = os.fsync, 0
def dying(descriptor):
    global writes
    writes += 1
    if writes == at: os._exit(9)
    fsync(descriptor)
os.fsync = dying
at = """
ONE_PART = ("--commit-every", "60", "--batch-size", "auto")
MOST_STEPS = 30
RESIDENT_GROWTH_BYTES = 64 * 2**20


def main() -> int:
    rows = np.random.default_rng(SEED).standard_normal((ROWS, WIDTH), np.float32)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_repository(folder / "models", ["tiny"], 1)
        wire, shared, grown_bytes = compare(folder, rows)
        faults = kill(folder, rows[:ROWS_OF_A_JOB])
    flat = grown_bytes < RESIDENT_GROWTH_BYTES
    for fault in faults:
        print(f"FAULT {fault}")
    print(
        f"{ROWS:,} rows at {spread(wire)} of in-process's rate over TCP, {spread(shared)} in shared memory "
        f"(wanted: {ENOUGH}); memory grew by {grown_bytes / 2**20:.0f} MiB; {KILLS} kills, {len(faults)} faults"
    )
    return 0 if flat and not faults else 1  # never for being slow: the machine may be busy


def spread(ratios: Sequence[float]) -> str:
    return f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


def compare(folder: Path, rows: NDArray[np.float32]) -> tuple[list[float], list[float], int]:
    """The rate of `Client.map` over that of a session here at the batch size that it found, round by round: over TCP,
    and with rows and answers in shared memory. And by how many bytes this process grew after the first round, which
    warms it up.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # as the server's
    path = folder / "models" / "tiny" / "1" / "model.onnx"
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    wire, shared, resident = [], [], []
    with (
        running_server(folder / "models", "--shared-memory") as server,
        Client(server.address) as client,
        client.shared_memory(4 * rows.nbytes) as memory,
    ):
        x, y = memory.array(rows), memory.empty(rows.shape)
        for turn in range(ROUNDS):
            wire.append(compared(client, session, rows, None))
            shared.append(compared(client, session, x, {"y": y}))
            resident.append(resident_bytes())
            print(f"round {turn + 1}: resident {resident[-1] / 2**20:.0f} MiB", flush=True)
    return wire, shared, resident[-1] - resident[0]


def compared(
    client: Client,
    session: onnxruntime.InferenceSession,
    rows: NDArray[np.float32],
    outputs: dict[str, NDArray[np.float32] | None] | None,
) -> float:
    """The ratio of one run of `Client.map`. Raises AssertionError where its answers are others."""
    sizes: list[int] = []
    began_s = time.perf_counter()
    bulk = client.map("tiny", {"x": rows}, outputs=outputs, progress=lambda at: sizes.append(at.batch_size))
    served = [chunk.outputs["y"] for chunk in bulk.chunks()]
    served_s = time.perf_counter() - began_s
    size = sizes[-1]
    began_s = time.perf_counter()
    alone = [session.run(None, {"x": rows[start : start + size]})[0] for start in range(0, ROWS, size)]
    alone_s = time.perf_counter() - began_s
    assert digest(served) == digest(alone), "other answers"
    print(
        f"{'over TCP' if outputs is None else 'in shared memory':16}  {ROWS / served_s:10,.0f} rows/s; in process "
        f"{ROWS / alone_s:10,.0f} with batches of {size:,}: {alone_s / served_s:.2f}; the same answers",
        flush=True,
    )
    return alone_s / served_s


def kill(folder: Path, rows: NDArray[np.float32]) -> list[str]:
    """What is wrong with jobs that were killed; empty: nothing."""
    column = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), WIDTH)
    pa.parquet.write_table(pa.table({"id": np.arange(len(rows)), "x": column}), folder / "rows.parquet")
    dice = random.Random(SEED)  # noqa: S311
    faults: list[str] = []
    with running_server(folder / "models") as server:
        address = server.address
        began_s = time.monotonic()
        assert Job(folder, address, "whole").finish() == 0
        whole_s = time.monotonic() - began_s
        expected = table_digest(folder / "whole.parquet", len(rows))
        print(f"a job of {len(rows):,} rows takes {whole_s:.1f} s; hash {expected[:16]}; seed {SEED}", flush=True)
        faults += kill_at_each_step(folder, address, expected, len(rows))
        kills = jobs = 0
        while kills < KILLS // 2:
            jobs += 1
            name = f"client{jobs}"
            moments: list[float] = []
            while len(moments) < min(KILLS_OF_A_JOB, KILLS // 2 - kills):
                moment_s = dice.uniform(0.2, whole_s)
                if not Job(folder, address, name).killed_after(moment_s):
                    whole_s = max(1.0, 0.8 * whole_s) if not moments else whole_s  # the machine has more time now
                    break
                moments.append(moment_s)
            kills += len(moments)
            faults += finish(folder, address, name, expected, len(rows), "client", moments)
    kills = jobs = 0
    while kills < KILLS // 2:
        jobs += 1
        name = f"server{jobs}"
        job, moments = Job(folder, address, name), []
        while len(moments) < min(KILLS_OF_A_JOB, KILLS // 2 - kills) and job.lasts():
            with running_server(folder / "models", "--grpc-address", address) as server:
                moment_s = dice.uniform(0.0, whole_s / KILLS_OF_A_JOB)
                time.sleep(moment_s)  # the moment is what is tested
                moments += [moment_s] if job.lasts() else []
                server.stop(signal.SIGKILL)
        kills += len(moments)
        with running_server(folder / "models", "--grpc-address", address):
            if status := job.wait():
                faults.append(f"{name}: ended with {status}: {job.errors}")
            faults += finish(folder, address, name, expected, len(rows), "server", moments)
    return faults


def kill_at_each_step(folder: Path, address: str, expected: str, rows: int) -> list[str]:
    """A job whose client dies at its first write to the disk, then at its second, and so on, until it gets through."""
    step = 1
    while Job(folder, address, "steps", f"{DIE_AT_WRITE}{step}", ONE_PART).wait():
        step += 1
        assert step < MOST_STEPS, "it never gets through"
    print(f"steps: client killed at each of its {step - 1} writes", flush=True)
    return check(folder, "steps", expected, rows)


class Job:
    """`ortolan batch` in a process of its own; the batches are small so that it lasts."""

    def __init__(self, folder: Path, address: str, name: str, before: str = "", more: Sequence[str] = ()) -> None:
        """`before` is code that the process runs first."""
        files = ("--in", str(folder / "rows.parquet"), "--out", str(folder / f"{name}.parquet"), "--keep", "id")
        options = ("--batch-size", "64", "--in-flight", "2", "--commit-every", "0.02", "--timeout", "60")
        command = [sys.executable, "-c", f"{before}\n{ENTRY}", "batch", address, "tiny", *files, *options, *more]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.errors = ""

    def lasts(self) -> bool:
        return self._process.poll() is None

    def killed_after(self, moment_s: float) -> bool:
        """False when it had ended by then."""
        try:
            self._process.wait(moment_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            return True
        self._process.communicate()
        return False

    def wait(self) -> int:
        self.errors = self._process.communicate(timeout=JOB_LIMIT_S)[1].strip()
        return self._process.returncode

    finish = wait


def finish(  # noqa: PLR0913 (what is known of a job)
    folder: Path, address: str, name: str, expected: str, rows: int, who: str, moments: list[float]
) -> list[str]:
    """Runs the job once more, and says what is wrong with its output."""
    job = Job(folder, address, name)
    status = job.wait()
    told = ", ".join(f"{moment_s:.2f}" for moment_s in moments)
    print(f"{name}: {who} killed after {told} s; status {status}", flush=True)
    if status:
        return [f"{name}: ended with {status}: {job.errors}"]
    return check(folder, name, expected, rows)


def check(folder: Path, name: str, expected: str, rows: int) -> list[str]:
    """What is wrong with the output of a job."""
    output = folder / f"{name}.parquet"
    faults = []
    if table_digest(output, rows) != expected:
        faults.append(f"{name}: other rows")
    left = [path.name for path in folder.glob(f"{name}.parquet.*") if path.name != f"{name}.parquet.job.json"]
    if left:
        faults.append(f"{name}: left behind {left}")
    return faults


def table_digest(path: Path, rows: int) -> str:
    """Of every row's number and answer, in order. Raises AssertionError where a row is missing or comes twice."""
    table = pa.parquet.read_table(path)
    assert np.array_equal(table["id"].to_numpy(), np.arange(rows)), f"{path}: {table.num_rows} rows, not each once"
    return digest([column.flatten().to_numpy() for column in table["y"].chunks])


def digest(arrays: Iterable[NDArray[np.float32]]) -> str:
    whole = hashlib.sha256()
    for array in arrays:
        whole.update(np.ascontiguousarray(array).data)
    return whole.hexdigest()


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    sys.exit(main())
