"""The servers of a run: all started once, then held, and let go on one at a time to be measured."""

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from benchmarks.calls import Answers, wait_until_right
from benchmarks.environments import ROOT
from benchmarks.load import LoadReport, parse_report
from benchmarks.processes import Ended, PinnedProcess, free_port, pinned, wait_until_listening
from benchmarks.samples import Array, Sample, WrongAnswer
from benchmarks.servers import SERVERS, Program, Server

__all__ = ["Fleet", "InProcess", "Running", "started"]

_LISTEN_LIMIT_S = 120.0
_SETTLE_S = 0.1


@dataclass(frozen=True)
class Running:
    server: Server
    process: PinnedProcess
    port: int
    start_s: float
    """From its command to its first right answer."""


@contextmanager
def started(  # noqa: PLR0913 - all that a start needs
    server: Server, program: Program, models: Path, cores: Sequence[int], first: Sample, right: Answers
) -> Iterator[Running]:
    """A server that has answered `first` right; stopped at the end. Raises Ended, TimeoutError, WrongAnswer."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="ortolan-bench-") as folder:
        command = program.on(port, models, len(cores))
        began_s = time.monotonic()
        process = PinnedProcess(command, cores, Path(folder) / "log", program.env)
        try:
            wait_until_listening(process, port, _LISTEN_LIMIT_S)
            wait_until_right(server, process, port, first, right)
            yield Running(server, process, port, time.monotonic() - began_s)
        finally:
            process.stop()


class Fleet:
    """Servers that all have the same models. A context: they are stopped at its end."""

    def __init__(self, models: Path, cores: Sequence[int], first: Sample, right: Answers) -> None:
        self._models = models
        self._cores = cores
        self._first = first
        self._right = right
        self._running: dict[str, Running] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def start(self, programs: Mapping[str, Program]) -> dict[str, str]:
        """Starts these servers, one after the other. Returns why, for each that does not answer right here."""
        refused = {}
        for name, program in programs.items():
            context = started(SERVERS[name], program, self._models, self._cores, self._first, self._right)
            try:
                self._running[name] = self._stack.enter_context(context)
            except (Ended, TimeoutError, WrongAnswer) as error:
                refused[name] = str(error)
            else:
                self._running[name].process.hold()
        return refused

    @contextmanager
    def alone(self, name: str) -> Iterator[Running]:
        """This one goes on, all others are held. Raises Ended when it is gone."""
        running = self._running[name]
        running.process.go_on()
        try:
            time.sleep(_SETTLE_S)
            running.process.check()
            yield running
        finally:
            running.process.hold()


class InProcess:
    """ONNX Runtime in a process without a server. A context: the process ends with it."""

    def __init__(self, program: Program, models: Path, cores: Sequence[int], folder: Path) -> None:
        self._command = pinned(program.on(0, models, len(cores)), cores)
        self._env = program.env
        self._folder = folder

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=dict(self._env)
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()

    def measure(self, samples: Sequence[Sample], right: Answers, warm_up_s: float, seconds: float) -> LoadReport:
        """Runs the samples in turns. An answer that is not right is a failure in the report. Raises Ended."""
        job = {
            "model": samples[0].model,
            "inputs": [self._file(sample.name, sample.inputs) for sample in samples],
            "right": [self._file(f"{sample.name}-right", {"y": right[sample.name]}) for sample in samples],
            "warm_up_s": warm_up_s,
            "seconds": seconds,
        }
        jobs, reports = self._process.stdin, self._process.stdout
        if not (jobs and reports):
            raise Ended("has no pipes")
        jobs.write(json.dumps(job) + "\n")
        jobs.flush()
        line = reports.readline()
        if not line:
            raise Ended(f"ended with status {self._process.wait()}")
        return parse_report(line)

    def _file(self, name: str, arrays: Mapping[str, Array]) -> str:
        path = self._folder / f"{name}.npz"
        if not path.exists():
            np.savez(path, allow_pickle=False, **arrays)
        return str(path)
