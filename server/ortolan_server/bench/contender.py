"""One chain of a bench: its process, and what is known of it so far."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np

from ortolan_server.bench.arrays import read_arrays
from ortolan_server.bench.measure import LEAST_RUNS
from ortolan_server.bench.messages import (
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
from ortolan_server.bench.process import ChildProcess, ProcessEnded
from ortolan_server.bench.report import BatchFigures, Row, RowState
from ortolan_server.chains.chain import Chain
from ortolan_server.repository import ModelToml
from ortolan_server.tensors import TensorSpec
from ortolan_server.tensors.difference import Difference, compare

__all__ = ["Contender"]

# How long a turn may take beyond what it should, before the process counts as hung.
_PATIENCE_S = 60.0
_PATIENCE_FACTOR = 10.0


class Contender:
    """`state` is None while it may go on, and the row's once that is decided."""

    def __init__(self, chain: Chain, config: ModelToml, folder: Path, *, mend_run: str) -> None:
        """`config` is the model's on this chain; `folder`, which it makes, takes its files.

        `mend_run` says what may help where it cannot run the inputs.
        """
        self.chain = tuple(rung.name for rung in chain.rungs)
        self.state: RowState | None = None
        self.failures: dict[int, str] = {}
        """Batch sizes of which a run failed, at whatever time: they have no figures."""
        self.saved: dict[int, Path] = {}
        """Where its answers are, by batch size."""
        self._options = tuple(dict(rung.declared) for rung in chain.rungs)
        self._config = config
        self._folder = folder
        self._process = ChildProcess(folder / "stderr.txt")
        self._mend_run = mend_run
        self._reason = self._mend = ""
        self._opened: Opened | None = None
        self._refused: Refused | None = None
        self._first_s: float | None = None
        self._run_s: dict[int, float] = {}
        self._turns: dict[int, list[Measured]] = {}
        self._peak_bytes: int | None = None

    @property
    def name(self) -> str:
        return ",".join(self.chain)

    def open(self, model: Path, inputs: Path, *, batch_axis: bool, timeout_s: float) -> None:
        self._folder.mkdir()
        self._process.start()
        command = Open(
            model=str(model), config=self._config.model_dump_json(), inputs=str(inputs), batch_axis=batch_axis
        )
        answer = self._ask(command, timeout_s, "opening")
        if isinstance(answer, Refused):
            self._refused = answer
            self._end(RowState.REFUSED, answer.reason, answer.mend)
        elif isinstance(answer, Opened):
            self._opened = answer
            self._peak_bytes = answer.peak_memory_bytes

    def warm(self, size: int, *, save: bool, timeout_s: float) -> None:
        """The first runs at a batch size, the smallest first."""
        path = self._folder / f"outputs-{size}.npz"
        command = Warm(batch_size=size, save=str(path) if save else "")
        answer = self._ask(command, timeout_s, f"running batch size {size} for the first time")
        if isinstance(answer, Failed):
            self._fail(size, answer.reason)
        elif isinstance(answer, Warmed):
            self._first_s = answer.first_s if self._first_s is None else self._first_s
            self._run_s[size] = answer.second_s
            self._peak_bytes = answer.peak_memory_bytes
            if save:
                self.saved[size] = path

    def measure(self, size: int, seconds: float) -> None:
        """One turn at a batch size that was warmed."""
        usual_s = seconds + LEAST_RUNS * self._run_s[size]
        answer = self._ask(
            Measure(batch_size=size, seconds=seconds),
            _PATIENCE_S + _PATIENCE_FACTOR * usual_s,
            f"measuring batch size {size}",
        )
        if isinstance(answer, Failed):
            self._fail(size, answer.reason)
        elif isinstance(answer, Measured):
            self._turns.setdefault(size, []).append(answer)
            self._peak_bytes = answer.peak_memory_bytes

    def finish(self) -> None:
        """Lets the process end."""
        self._process.close()

    def kill(self) -> None:
        self._process.kill()

    def row(self, outputs: Sequence[TensorSpec], reference: "Contender") -> Row:
        """What became of it; `reference` is the CPU's contender."""
        opened, refused = self._opened, self._refused
        reasons = opened.verdict_reasons if opened else refused.verdict_reasons if refused else ()
        return Row(
            chain=self.chain,
            options=self._options,
            state=self.state or RowState.MEASURED,
            reason=self._reason or "; ".join(f"batch size {size}: {text}" for size, text in self.failures.items()),
            mend=self._mend,
            serving_provider=opened.provider if opened else "",
            verdict=opened.verdict if opened else "BROKEN" if refused else "",
            verdict_reasons=reasons,
            assignment=opened.assignment if opened else None,
            hardware=opened.hardware if opened else "",
            device=opened.device if opened else "",
            threads=opened.threads if opened else None,
            load_s=opened.load_s if opened else None,
            first_run_s=self._first_s,
            peak_memory_bytes=self._peak_bytes,
            load_memory_bytes=opened.load_memory_bytes if opened else None,
            batches=tuple(
                _figures(size, turns) for size, turns in sorted(self._turns.items()) if size not in self.failures
            ),
            differences=() if self is reference else self._differences(outputs, reference),
        )

    def _differences(self, outputs: Sequence[TensorSpec], reference: "Contender") -> tuple[Difference, ...]:
        sizes = [size for size in self.saved if size in reference.saved]
        answers = [(read_arrays(self.saved[size]), read_arrays(reference.saved[size])) for size in sizes]
        return tuple(
            compare(spec.name, spec.datatype, [(ours[number], theirs[number]) for ours, theirs in answers])
            for number, spec in enumerate(outputs)
            if answers
        )

    def _ask(self, command: Command, timeout_s: float, doing: str) -> Answer | None:
        """None when the process ended instead of answering: the contender is over then."""
        try:
            return self._process.ask(command, timeout_s)
        except ProcessEnded as error:
            ending, colon, words = str(error).partition(": ")
            self._end(RowState.CRASHED, f"{ending} while {doing}{colon}{words}")
            return None

    def _fail(self, size: int, reason: str) -> None:
        """Without the smallest batch size there is nothing to compare."""
        self.failures[size] = reason
        if not self._run_s:
            self._end(RowState.REFUSED, f"it opens, and cannot run the inputs: {reason}", self._mend_run)
        elif size == min(self._run_s):
            self._end(RowState.REFUSED, f"a run failed: {reason}")

    def _end(self, state: RowState, reason: str, mend: str = "") -> None:
        self.state, self._reason, self._mend = state, reason, mend
        self._process.kill()


def _figures(size: int, turns: Sequence[Measured]) -> BatchFigures:
    durations_s = np.concatenate([np.array(turn.durations_ns) for turn in turns]) / 1e9
    rates = [size * len(turn.durations_ns) / turn.elapsed_s for turn in turns]
    p50_s, p99_s = (float(value) for value in np.percentile(durations_s, (50, 99)))
    return BatchFigures(
        batch_size=size,
        runs=len(durations_s),
        p50_s=p50_s,
        p99_s=p99_s,
        rows_per_s=median(rates),
        rows_per_s_low=min(rates),
        rows_per_s_high=max(rates),
        cpu_s_per_row=sum(turn.cpu_s for turn in turns) / (size * len(durations_s)),
    )
