"""`python -m ortolan_server.bench.child`: the process of one chain.

Takes commands on standard input and answers on what was its standard output; what libraries print goes to standard
error. Ends when its input does.
"""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ortolan_backends.catalog import Catalog
from ortolan_backends.errors import RunFailed
from ortolan_backends.runtime.log import LogLine, RuntimeLog
from ortolan_backends.runtime.session import RunHandle, Session
from ortolan_server.allocation import Allocation, share_threads
from ortolan_server.bench.arrays import read_arrays, write_arrays
from ortolan_server.bench.hardware import hardware_of, used_devices
from ortolan_server.bench.measure import Memory, look_at_memory, time_runs
from ortolan_server.bench.messages import (
    COMMANDS,
    Answer,
    Command,
    Failed,
    Measure,
    Measured,
    Open,
    Opened,
    Refused,
    Warm,
    Warmed,
)
from ortolan_server.bench.report import RowAssignment
from ortolan_server.chains.registry import Registry
from ortolan_server.chains.report import ChainReport
from ortolan_server.lifecycle.opening import open_model
from ortolan_server.repository import ModelToml, Numeric
from ortolan_server.services.reports import report_message
from ortolan_server.tensors import Signature

__all__ = ["main"]

_MEND_CONTRACT = 'otherwise = "degrade" under [require] in its model.toml: then it is measured, and says DEGRADED'


def main() -> None:
    channel = os.dup(1)
    os.dup2(2, 1)
    worker = _Worker()
    for line in sys.stdin.buffer:
        answer = worker.do(COMMANDS.validate_json(line))
        _write(channel, answer.model_dump_json().encode() + b"\n")


class _Worker:
    """A session and its inputs, once it is told to open them."""

    def __init__(self) -> None:
        self._run: Callable[[int], list[NDArray[Any]]] | None = None

    def do(self, command: Command) -> Answer:
        if isinstance(command, Open):
            return self._open(command)
        assert self._run is not None  # noqa: S101 - Open comes first
        run, size = self._run, command.batch_size
        try:
            return _warm(command, run) if isinstance(command, Warm) else _measure(command, lambda: run(size))
        except RunFailed as error:
            return Failed(reason=str(error))

    def _open(self, command: Open) -> Answer:
        # While it opens, and no longer: runs write to standard error itself, as a crash takes what stands in the pipe.
        log = RuntimeLog(lambda line: _pass_on(line, terminal))
        terminal = log.start()
        try:
            return self._open_logged(command, log)
        finally:
            log.stop()

    def _open_logged(self, command: Open, log: RuntimeLog) -> Answer:
        path = Path(command.model)
        # A bench makes the runs and the comparison of its own.
        aside = {"warmup": (), "numeric": Numeric(check=False)}
        config = ModelToml.model_validate_json(command.config).model_copy(update=aside)
        registry = Registry(Catalog.from_entry_points(), log)
        # As `ortolan serve` would open this model, if it were alone.
        threads = share_threads(Allocation.of_this_machine().cores, {}, models=1)
        chain = replace(registry.compose(config, command.model), threads=threads)
        for rung in chain.rungs:
            registry.probe(rung.name)
        before = look_at_memory()
        start_s = time.perf_counter()
        opened = open_model(registry, path, chain, config, path.parent)
        load_s = time.perf_counter() - start_s
        after = look_at_memory()
        report = opened.report
        if report.session is None or opened.signature is None or report.rung != 1:
            return _refused(report, registry)
        self._run = _runner(report.session, opened.signature, command)
        top = chain.rungs[0]
        devices = used_devices(registry.probe(top.name).devices, top.opening.options)
        return Opened(
            verdict="KEPT" if report.verdict.state == "KEPT" else "DEGRADED",
            verdict_reasons=report.verdict.reasons or report.verdict.warnings,
            provider=report.provider,
            assignment=_assignment(report),
            hardware=hardware_of(devices),
            device=", ".join(device.name for device in devices),
            threads=report.session.threads,
            load_s=load_s,
            load_memory_bytes=_added(before, after),
            peak_memory_bytes=after.peak_bytes,
        )


def _added(before: Memory, after: Memory) -> int | None:
    if before.resident_bytes is None or after.resident_bytes is None:
        return None
    return max(0, after.resident_bytes - before.resident_bytes)


def _pass_on(line: LogLine, terminal: int) -> None:
    if line.is_problem:
        _write(terminal, f"{line.text}\n".encode())


def _refused(report: ChainReport, registry: Registry) -> Refused:
    reasons = report.verdict.reasons
    if not report.attempts:
        return Refused(reason=report.verdict.sentence, mend="", verdict_reasons=reasons)
    top = report.attempts[0]
    if top.stage == "probe":
        found = registry.probe(top.provider)
        return Refused(reason=found.reason, mend=found.mend, verdict_reasons=reasons)
    mend = _MEND_CONTRACT if top.stage == "contract" and not report.rung else ""
    return Refused(reason=top.reason or report.verdict.sentence, mend=mend, verdict_reasons=reasons)


def _assignment(report: ChainReport) -> RowAssignment:
    message = report_message(report, omit_nodes=True)
    serving = next((share for share in message.shares if share.provider == report.provider), None)
    return RowAssignment(
        nodes={share.provider: share.nodes for share in message.shares},
        node_share=serving.node_share if serving else 0.0,
        fragments=serving.fragments if serving else 0,
        crossings=message.crossings,
    )


def _runner(session: Session, signature: Signature, command: Open) -> Callable[[int], list[NDArray[Any]]]:
    """Runs the model on so many rows."""
    fed = [array.astype(object) if array.dtype.kind == "U" else array for array in read_arrays(Path(command.inputs))]
    arrays = {spec.name: array for spec, array in zip(signature.inputs, fed, strict=True)}
    outputs = [spec.name for spec in signature.outputs]
    batches: dict[int, dict[str, NDArray[Any]]] = {}

    def run(size: int) -> list[NDArray[Any]]:
        if size not in batches:
            rows = size if command.batch_axis else None
            batches[size] = {name: array[:rows] if rows else array for name, array in arrays.items()}
        return session.run(batches[size], outputs, RunHandle())

    return run


def _warm(command: Warm, run: Callable[[int], list[NDArray[Any]]]) -> Warmed:
    start_s = time.perf_counter()
    outputs = run(command.batch_size)
    first_s = time.perf_counter() - start_s
    run(command.batch_size)
    second_s = time.perf_counter() - start_s - first_s
    if command.save:
        write_arrays(Path(command.save), outputs)
    return Warmed(first_s=first_s, second_s=second_s, peak_memory_bytes=look_at_memory().peak_bytes)


def _measure(command: Measure, run: Callable[[], object]) -> Measured:
    timing = time_runs(run, command.seconds)
    return Measured(
        durations_ns=timing.durations_ns,
        elapsed_s=timing.elapsed_s,
        cpu_s=timing.cpu_s,
        peak_memory_bytes=look_at_memory().peak_bytes,
    )


def _write(channel: int, data: bytes) -> None:
    while data:
        data = data[os.write(channel, data) :]


if __name__ == "__main__":
    main()
